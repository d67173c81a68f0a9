"""A teacher that is no BERT and has no WordPiece, from flags to exported files: texts, pairs, and vectors."""

from __future__ import annotations

import csv
import json

import pytest

SMALL = ["--teacher_epochs=1", "--teacher_batch_size=16", "--teacher_learning_rate=1e-2", "--teacher_max_length=24",
         "--student_max_length=10", "--epochs=1", "--batch_size=32", "--embedding_size=8", "--hidden_size=6",
         "--dense_size=8", "--allow_weak_teacher", "--augment=none", "--unlabeled=none", "--vocab_size=60"]  # fmt: skip


@pytest.fixture(scope="module")
def runs(encoder_folder, toy_sentences, write_csv, tmp_path_factory, run_verb):
    away = tmp_path_factory.mktemp("roberta")
    for split, count, seed in (("train", 80, 0), ("dev", 20, 1)):
        texts, label = toy_sentences(count, seed)
        write_csv(away / f"{split}.csv", texts, label)
        with open(away / f"pairs-{split}.csv", "w", newline="") as f:
            out = csv.writer(f)
            out.writerow(["a", "b", "label"])
            partner = [(n + n // 2) % count for n in range(count)]
            out.writerows([texts[n], texts[m], "yes" if label[n] == label[m] else "no"] for n, m in enumerate(partner))
    shared = ["--task=custom", f"--teacher={encoder_folder('roberta')}", *SMALL]
    cases = {
        "one": [f"--train_file={away}/train.csv", f"--dev_file={away}/dev.csv", "--hidden=mean", "--recipe=joint"],
        "pairs": [f"--train_file={away}/pairs-train.csv", f"--dev_file={away}/pairs-dev.csv", "--text_column=a",
                  "--text_b_column=b", "--label_column=label"],
    }  # fmt: skip
    got = run_verb("train", *([*shared, *c, f"--output_dir={away / n}"] for n, c in cases.items()), eager=True)
    assert all(answer["code"] == 0 for answer in got), [answer["err"][-2000:] for answer in got]
    (away / "text.txt").write_text("\n".join(toy_sentences(90, 5)[0]) + "\n")
    return away


@pytest.mark.parametrize("name", ["one", "pairs"])
def test_the_student_has_pieces_of_its_own(runs, name):
    from kd_keras.students.inference import load_student

    folder = runs / name
    vocab = (folder / "vocab.txt").read_text("utf-8").splitlines()
    assert vocab[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] and len(vocab) <= 60 and "film" in vocab
    assert not any("Ġ" in piece for piece in vocab)
    report = (folder / "report.md").read_text("utf-8")
    assert "embeddings: the fine-tuned teacher's, by SVD to 8" in report
    assert json.loads((folder / "teacher/config.json").read_text())["model_type"] == "roberta"
    matrix = load_student(folder / "student.keras").get_layer("embeddings").get_weights()[0]
    assert len(matrix) == len(vocab)


def test_it_is_exported_and_predicts_as_its_student_does(runs, run_verb):
    done = run_verb("export", [f"--model_dir={runs}/one", "--formats=tflite_float32", "--tflite_length=12"])[0]
    assert done["code"] == 0 and "failed" not in done["err"], done["err"][-2000:]
    texts = "a lovely film\nthe plot is awful\n"
    folder = runs / "one"
    models = [f"--model_dir={folder}", f"--model={folder}/tflite/float32.tflite"]
    keras, file = run_verb("predict", *(([model, "--input=-"], texts) for model in models))
    assert keras["code"] == file["code"] == 0, (keras["err"][-1000:], file["err"][-1000:])
    for a, b in zip(keras["out"].splitlines(), file["out"].splitlines(), strict=True):
        assert json.loads(a)["label"] == json.loads(b)["label"]


def test_its_teacher_labels_and_a_universal_student_follows_its_vectors(runs, encoder_folder, run_verb):
    labels = run_verb("label", [f"--teacher_dir={runs}/one/teacher", f"--input={runs}/text.txt",
                                f"--output_dir={runs}/signals"], eager=True)[0]  # fmt: skip
    assert labels["code"] == 0 and "90 rows labeled" in labels["out"], labels["err"][-1000:]
    flags = [f"--teacher={encoder_folder('roberta')}", f"--unlabeled_files={runs}/text.txt", "--teacher_max_length=16",
             "--student_max_length=12", "--updates=4", "--evals=1", "--batch_size=16", "--dev_rows=20", "--vocab_size=60",
             "--embedding_size=6", "--hidden_size=5", "--vector_size=8"]  # fmt: skip
    words, whole = run_verb(
        "pretrain", [*flags, "--losses=cosine,tokens:0.5", f"--output_dir={runs}/words"],
        [*flags, f"--output_dir={runs}/universal"], eager=True,
    )  # fmt: skip
    assert words["code"] == 2 and "has no WordPiece; leave it out" in words["err"]
    assert whole["code"] == 0, whole["err"][-2000:]
    assert "film" in (runs / "universal/vocab.txt").read_text("utf-8").splitlines()
