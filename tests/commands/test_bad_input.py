"""What a user can get wrong: one line that names it, exit code 2, before TensorFlow is loaded, and nothing written."""

from __future__ import annotations

import json
import os

import pytest

HEAD = "text,label\n"
GOOD = HEAD + "".join(f"good film {n},pos\nbad film {n},neg\n" for n in range(6))

# name → (what --train_file holds, what the error says after the file's name)
FILES = {
    "empty": (b"", "the file is empty"),
    "header only": (HEAD.encode(), ""),
    "not utf-8": (GOOD.encode() + b"na\xefve film,pos\n", "line 14: not UTF-8"),
    "truncated row": (GOOD.encode() + b"good fil", "line 14"),
    "an open quote": (GOOD.encode() + b'"good film,pos\n', "line 14: a quote is opened and never closed"),
    "no text": (GOOD.encode() + b",pos\n", "line 14, column 'text': expected text, found nothing"),
    "no label": (GOOD.encode() + b"good film,\n", "line 14, column 'label'"),
    "no label column": (GOOD.replace("label", "gold").encode(), "no column 'label'"),
    "no text column": (GOOD.replace("text", "sentence").encode(), "no column 'text'"),
    "one label": (GOOD.replace("neg", "pos").encode(), "expected two labels or more"),
}


@pytest.fixture(scope="module")
def answers(run_verb, tmp_path_factory, bert_folder, trained_run):
    """Every bad command in one process, in order; none of them may get as far as TensorFlow."""
    away = tmp_path_factory.mktemp("bad")
    cases: dict[str, tuple[list[str], tuple[str, ...]]] = {}
    fine = away / "fine.csv"
    fine.write_text(GOOD)
    custom, teacher = ["--task=custom", f"--train_file={fine}"], f"--teacher={bert_folder}"
    for name, (content, said) in FILES.items():
        path = away / f"{name}.csv"
        path.write_bytes(content)
        cases[name] = (["--task=custom", f"--train_file={path}", teacher], (path.name, said))
    bad_dev = away / "dev.csv"
    bad_dev.write_text(HEAD + "good film,pos\nbad film,negative\n")
    torn = away / "torn.jsonl"
    torn.write_text('{"text": "good film", "label": "pos"}\n{"text": "dull", "label": "neg"}\n{"text": "bad fi')
    unequal, scores, blank = away / "unequal.jsonl", away / "scores.csv", away / "blank.txt"
    pair = '{"text": "good film", "second": "fine film", "label": "%s"}\n'
    unequal.write_text(pair % "pos" + pair % "neg" + '{"text": "dull", "label": "neg"}\n')
    pairs = away / "pairs.jsonl"
    pairs.write_text("".join(pair.replace("good", f"good {n}") % ("pos", "neg")[n % 2] for n in range(40)))
    scores.write_text(HEAD + "".join(f"film {n},{n}.5\n" for n in range(20)))
    blank.write_text("")
    ragged, vectors = away / "ragged.txt", away / "vectors.txt"
    ragged.write_text("good 0.1 0.2 0.3\nbad 0.1 0.2\n")
    vectors.write_text("good 0.1 0.2 0.3\nbad 0.1 0.2 0.3\n")
    (away / "taken").mkdir()
    (away / "taken" / "letter.txt").write_text("dear")
    no_weights = away / "no-weights"
    no_weights.mkdir()
    for name in ("config.json", "vocab.txt"):
        (no_weights / name).write_bytes((bert_folder / name).read_bytes())
    run = trained_run
    ours = [a for a in run.arguments if not a.startswith(("--teacher=", "--alpha="))]
    given = [*ours, f"--signals={run.folder / 'signals'}"]
    cases |= {
        "unknown task": (["--task=rotten_tomatos"], ("rotten_tomatos", "Did you mean rotten_tomatoes?")),
        "unknown teacher": ([*custom, "--teacher=minilm-16"], ("--teacher=minilm-16", "Did you mean minilm-l6")),
        "teacher folder is not there": ([*custom, "--teacher=/no/such/bert"], ("--teacher=/no/such/bert",)),
        "teacher without weights": ([*custom, f"--teacher={no_weights}"], ("--teacher=", "model.safetensors")),
        "missing file": (["--task=custom", f"--train_file={away}/none.csv"], ("--train_file", "none.csv")),
        "a folder for a file": (["--task=custom", f"--train_file={away}"], ("--train_file", "is a folder")),
        "no file at all": (["--task=custom"], ("--train_file=FILE",)),
        "bad label": ([*custom, teacher, f"--dev_file={bad_dev}"], ("dev.csv, line 3, column 'label'", "negative")),
        "torn JSON": (["--task=custom", f"--train_file={torn}", teacher], ("torn.jsonl, line 3",)),
        "alpha over 1": ([*custom, teacher, "--alpha=1.5"], ("--alpha=1.5",)),
        "alpha under 0": ([*custom, teacher, "--alpha=-0.5"], ("--alpha=-0.5",)),
        "alpha no number": ([*custom, teacher, "--alpha=half"], ("alpha", "half")),
        "alpha not a number": ([*custom, teacher, "--alpha=nan"], ("--alpha=nan",)),
        "unknown flag": ([*custom, teacher, "--alhpa=0.5"], ("alhpa",)),
        "a forgotten dash": ([*custom, teacher, "alpha=0.5"], ("unexpected argument 'alpha=0.5'",)),
        "flags of another task": (["--task=sst2", "--label_column=gold"], ("--label_column=gold",)),
        "words with the teacher's embeddings": ([*custom, teacher, "--tokenizer=words"], ("--embeddings=teacher",)),
        "masks and replacements over 1": (
            [*custom, teacher, "--augment=all", "--p_mask=0.8", "--p_pos=0.3"], ("--p_mask=0.8 and --p_pos=0.3", "1.1"),
        ),
        "no iteration": ([*custom, teacher, "--augment=all", "--n_iter=0"], ("--n_iter=0", "at least 1")),
        "an unknown recipe": ([*custom, teacher, "--recipe=stagd"], ("--recipe=stagd", "Did you mean staged")),
        "a recipe and all of them": ([*custom, teacher, "--recipe=joint", "--ablate=recipes"], ("--recipe=joint",)),
        "sizes that are none": ([*custom, teacher, "--transfer_sizes=0,many"], ("--transfer_sizes=0,many", "0,30000,all")),
        "labels of scores": (
            ["--task=custom", f"--train_file={scores}", "--regression", teacher, "--recipe=hard"],
            ("--recipe=hard", "regression"),
        ),
        "an ablation of what is given": (
            [*custom, teacher, "--augment=mask", "--ablate=augmentation"], ("--augment=mask", "--ablate=augmentation"),
        ),
        "unlabeled text for half of a grid": (
            [*custom, teacher, f"--unlabeled_files={torn}", "--ablate=augmentation"], ("--unlabeled", "--ablate=augmentation"),
        ),
        "labels twice": ([*custom, teacher, "--recipe=joint", "--alpha=0.5"], ("--alpha=0.5", "the recipe joint adds")),
        "no gold labels": ([*custom, teacher, "--recipe=hard", "--alpha=0.5"], ("--alpha=0.5", "the recipe hard follows")),
        "labels twice in a grid": ([*custom, teacher, "--ablate=recipes", "--alpha=0.5"], ("--alpha=0.5", "recipe")),
        "sizes of nothing": ([*custom, teacher, "--ablate=transfer_sizes"], ("no transfer text", "--unlabeled=task")),
        "rows of nothing": (
            [*custom, teacher, "--ablate=recipes", "--transfer_sizes=0,9"], ("--transfer_sizes=0,9", "no transfer text"),
        ),
        "too few pieces": ([*custom, teacher, "--vocab_size=8"], ("--vocab_size=8", "single characters alone")),
        "no such layer": ([*custom, teacher, "--hidden_layer=3"], ("--hidden_layer=3", "layers 0 to 2")),
        "longer than a teacher reads": (
            [*custom, teacher, "--teacher_max_length=65"], ("--teacher_max_length=65", "at most 64 tokens"),
        ),
        "a student of pairs": ([*custom, teacher, "--student=siamese"], ("--student=siamese", "bilstm")),
        "unequal pair columns": (
            ["--task=custom", f"--train_file={unequal}", "--text_b_column=second", teacher],
            ("unequal.jsonl, line 3", "second"),
        ),
        "KL of scores": (
            ["--task=custom", f"--train_file={scores}", "--regression", teacher, "--soft=kl"], ("--soft=kl", "regression"),
        ),
        "no label of a class": ([*custom, teacher, "--labels_per_class=0"], ("--labels_per_class=0", "at least 1")),
        "labels of a class of scores": (
            ["--task=custom", f"--train_file={scores}", "--regression", teacher, "--labels_per_class=3"],
            ("--labels_per_class=3", "regression"),
        ),
        "an ablation of what has no labels": (
            [*custom, teacher, "--labels_per_class=3", "--ablate=augmentation"], ("--labels_per_class", "--ablate"),
        ),
        "both ends of a pair": (
            ["--task=custom", f"--train_file={pairs}", "--text_b_column=second", teacher, "--teacher_truncation=head_tail"],
            ("--teacher_truncation=head_tail", "reads pairs"),
        ),
        "the tail of a pair": (
            ["--task=custom", f"--train_file={pairs}", "--text_b_column=second", teacher, "--student_truncation=tail"],
            ("--student_truncation=tail", "reads pairs"),
        ),
        "no such truncation": ([*custom, teacher, "--student_truncation=tial"], ("--student_truncation=tial", "mean tail")),
        "another truncation than the teacher's": (
            [*ours, f"--teacher={run.folder / 'teacher'}", "--teacher_truncation=tail"],
            ("--teacher_truncation=tail", "was fine-tuned with head"),
        ),
        "no teacher": ([*custom, teacher, "--teacher_seeds=0"], ("--teacher_seeds=0", "at least 1")),
        "three untrained teachers": (
            [*custom, teacher, "--teacher_seeds=3", "--teacher_epochs=0"], ("--teacher_seeds=3", "--teacher_epochs=0"),
        ),
        "three of a finished teacher": (
            [*given, f"--teacher={run.folder / 'teacher'}", "--teacher_seeds=3"], ("--teacher_seeds=3", "teacher-2"),
        ),
        "ragged vectors": (
            [*custom, teacher, "--tokenizer=words", "--embeddings=vectors", f"--vectors={ragged}"], ("ragged.txt, line 2",),
        ),
        "vectors of another width": (
            [*custom, teacher, "--tokenizer=words", "--embeddings=vectors", f"--vectors={vectors}", "--embedding_size=4"],
            ("--embedding_size=4", "expected 3"),
        ),
        "no unlabeled file": ([*custom, teacher, f"--unlabeled_files={away}/none.txt"], ("--unlabeled_files", "none.txt")),
        "an unlabeled file without text": ([*custom, teacher, f"--unlabeled_files={blank}"], ("has no text", "blank")),
        "no unlabeled text of its own": ([*custom, teacher, "--unlabeled=task"], ("--unlabeled=task", "--unlabeled_files")),
        "no unlabeled column": (
            [*custom, teacher, f"--unlabeled_files={fine}", "--unlabeled_column=txt"], ("'txt'", "--unlabeled_column"),
        ),
        "no vectors": (
            [*custom, teacher, "--tokenizer=words", "--embeddings=vectors", f"--vectors={away}/none.txt"],
            ("--vectors", "none.txt"),
        ),
        "output folder of another": (
            [*custom, teacher, f"--output_dir={away / 'taken'}"], ("--output_dir", "holds no run of train"),
        ),
        "output folder is a file": ([*custom, teacher, f"--output_dir={fine}"], ("--output_dir", "is a file")),
        "output folder of other settings": (
            [*run.arguments, "--alpha=0.5", f"--output_dir={run.folder}"], ("--output_dir", "alpha: 0.25 there, 0.5"),
        ),
        "signals, but no teacher of ours": ([*given, teacher], ("--signals=", "--teacher=")),
        "no such signals": (
            [*ours, f"--teacher={run.folder / 'teacher'}", f"--signals={away}/none"], ("none", "no teacher signals"),
        ),
    }  # fmt: skip
    arguments = [
        c if any(a.startswith("--output_dir=") for a in c) else [*c, f"--output_dir={away / 'out' / str(n)}"]
        for n, (c, _) in enumerate(cases.values())
    ]
    before = sorted(os.listdir(run.folder)), (run.folder / "run.json").read_bytes()
    got = run_verb("train", *arguments)
    assert (sorted(os.listdir(run.folder)), (run.folder / "run.json").read_bytes()) == before
    assert os.listdir(away / "taken") == ["letter.txt"] and fine.read_text() == GOOD
    written = list((away / "out").iterdir()) if (away / "out").exists() else []
    return {name: (answer, cases[name][1]) for name, answer in zip(cases, got, strict=True)}, written


def test_every_mistake_is_one_line_and_exit_code_2(answers):
    wrong = []
    for name, (answer, said) in answers[0].items():
        lines = answer["err"].splitlines()
        if answer["code"] != 2 or len(lines) != 1 or not lines[0].startswith("error: ") or answer["out"]:
            wrong.append((name, answer))
        elif missing := [s for s in said if s not in lines[0]]:
            wrong.append((name, f"does not say {missing}: {lines[0]}"))
    assert not wrong


def test_no_mistake_is_found_late_or_leaves_a_trace(answers):
    assert [name for name, (answer, _) in answers[0].items() if answer["tf"]] == []
    assert answers[1] == []


def test_a_run_of_another_task_is_refused(run_verb, trained_run, tmp_path):
    """task.json decides before any other setting does."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("task.json", "run.json"):
        (run / name).write_bytes((trained_run.folder / name).read_bytes())
    task = json.loads((run / "task.json").read_text())
    (run / "task.json").write_text(json.dumps(task | {"name": "sst2"}))
    (answer,) = run_verb("train", [*trained_run.arguments, f"--output_dir={run}"])
    assert answer["code"] == 2 and answer["err"].count("\n") == 1 and not answer["tf"]
    assert "--output_dir" in answer["err"] and "holds a run of task 'sst2', not 'custom'" in answer["err"]
    assert sorted(os.listdir(run)) == ["run.json", "task.json"]


def test_signals_from_another_teacher_are_refused(run_verb, trained_run, bert_folder, tmp_path):
    from kd_keras.tasks import custom, load
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.settings import TeacherSettings

    data = load(custom(*(str(trained_run.files[s]) for s in ("train", "dev", "test"))))
    fine_tune(
        find_checkpoint(str(bert_folder)),
        data,
        TeacherSettings(teacher_epochs=0, teacher_max_length=16),
        tmp_path / "t",
    )
    arguments = [a for a in trained_run.arguments if not a.startswith("--teacher=")]
    (answer,) = run_verb(
        "train",
        [*arguments, f"--teacher={tmp_path / 't'}", f"--signals={trained_run.folder / 'signals'}",
         f"--output_dir={tmp_path / 'run'}"],
    )  # fmt: skip
    assert answer["code"] == 2 and answer["err"].count("\n") == 1 and not answer["tf"]
    assert "--signals=" in answer["err"] and "signals from another teacher (weights: " in answer["err"]
    assert not (tmp_path / "run").exists()


def test_the_real_command_ends_the_same_way(run_python, tmp_path):
    """Once without the driver: the exit code of the process, and nothing of TensorFlow's on the screen."""
    done = run_python("-m", "kd_keras.train", "--task=custom", f"--train_file={tmp_path}/none.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --train_file: no such file: {tmp_path}/none.csv\n"
    assert list(tmp_path.iterdir()) == []
