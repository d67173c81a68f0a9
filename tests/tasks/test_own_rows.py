"""What is said of rows of one's own before any long work, and what their data's key holds."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.tasks import Columns, Rows, custom, load, load_test
from kd_keras.tasks.balance import lacking
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.overlaps import contradictions, in_train
from kd_keras.tasks.readers import read_texts


def rows_of(texts: list[str], labels=0, second: list[str] | None = None) -> Rows:
    return Rows(
        [f"r{n}" for n in range(len(texts))], texts, second, np.broadcast_to(np.array(labels), len(texts)).copy()
    )


def written(path: Path, rows: list[tuple[object, ...]], head: str = "text,label") -> Path:
    path.write_text("\n".join([head, *(",".join(map(str, r)) for r in rows)]) + "\n", encoding="utf-8")
    return path


def texts(count: int, start: int = 0) -> list[str]:
    return [f"this is text number {n}" for n in range(start, start + count)]


def test_texts_of_two_splits_are_counted_without_case_and_punctuation():
    train = rows_of(["Good film!", "dull", "a plot"])
    assert in_train(train, rows_of(["good film", "new", "DULL."]), "test") == [
        "test: 2 of 3 texts are also in train, so its scores say little of new text"
    ]
    assert in_train(train, rows_of(["new"]), "dev") == []
    pairs = rows_of(["a", "b"], second=["x", "y"])
    assert in_train(pairs, rows_of(["a", "b"], second=["y", "y"]), "dev") == [
        "dev: 1 of 2 texts are also in train, so its scores say little of new text"
    ]


def test_one_text_with_two_labels_is_said():
    said = contradictions(rows_of(["a b", "A b!", "c d", "c d"], [0, 1, 1, 1]))
    assert said == ["train: 2 rows have the text of another row with another label"]
    assert contradictions(rows_of(["a", "a"], [0.5, 1.5])) == [], "scores may differ"


def test_the_notes_reach_whoever_loads_own_files(tmp_path):
    train = [(t, "ab"[n % 2]) for n, t in enumerate(texts(40))]
    train.append((train[0][0].upper(), "b"))
    written(tmp_path / "train.csv", train)
    written(tmp_path / "dev.csv", train[:12])
    data = load(custom(str(tmp_path / "train.csv"), dev_file=str(tmp_path / "dev.csv"), columns=Columns(("text",))))
    assert data.notes[:2] == [
        "dev: 12 of 12 texts are also in train, so its scores say little of new text",
        "train: 2 rows have the text of another row with another label",
    ]


@pytest.mark.parametrize(("classes", "each", "share"), [(10, 2, "50%"), (5, 5, "20%"), (2, 50, "10%")])
def test_the_share_of_dev_is_the_real_one(tmp_path, classes, each, share):
    rows = [(t, f"c{n % classes}") for n, t in enumerate(texts(classes * each))]
    data = load(custom(str(written(tmp_path / "train.csv", rows)), columns=Columns(("text",))))
    (note,) = [n for n in data.notes if n.startswith("dev: ") and "of train" in n]
    assert note.startswith(f"dev: {share} of train, drawn with a fixed seed")
    assert ("so that each label has a text" in note) == (share != "10%")
    assert len(data.dev) == round(float(share[:-1]) / 100 * len(rows))


def scores(tmp_path, train: list[float], dev: list[float]):
    for name, values, start in (("train", train, 0), ("dev", dev, 100)):
        written(tmp_path / f"{name}.csv", list(zip(texts(len(values), start), values, strict=True)))
    files = {"dev_file": str(tmp_path / "dev.csv"), "regression": True, "columns": Columns(("text",))}
    return load(custom(str(tmp_path / "train.csv"), **files)).notes


def test_scores_that_teach_nothing_are_told(tmp_path):
    fine = [n / 4 for n in range(20)]
    assert not any("score" in n for n in scores(tmp_path, fine, fine))
    with pytest.raises(UserError, match="all training rows have the score 3.5; there is nothing to learn"):
        scores(tmp_path, [3.5] * 20, fine)
    (said,) = [n for n in scores(tmp_path, fine, [2.0] * 20) if "score" in n]
    assert said == "dev: all rows have the score 2, so no correlation can be measured; give --dev_file=FILE"


def test_labels_that_no_row_has_count_in_the_datas_key(tmp_path):
    path = str(written(tmp_path / "train.csv", [(t, "ab"[n % 2]) for n, t in enumerate(texts(40))]))
    plain, same, more = (
        load(custom(path, columns=Columns(("text",)), labels=labels)) for labels in (None, ("a", "b"), ("a", "b", "c"))
    )
    assert plain.fingerprint == same.fingerprint != more.fingerprint
    assert "train: has no row of 1 of 3 labels (c)" in lacking(more)


def test_numbers_with_leading_zeros_have_one_order(tmp_path):
    path = written(tmp_path / "train.csv", [(t, ("01", "1", "2", "10")[n % 4]) for n, t in enumerate(texts(40))])
    code = "import sys; from kd_keras.tasks import custom, Columns; print(custom(sys.argv[1], columns=Columns(('text',))).labels)"
    for seed in ("1", "4", "5"):
        made = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert made.stdout.strip() == "('01', '1', '2', '10')", made.stderr


def test_skipped_test_rows_can_be_kept_for_the_report(tmp_path, capsys):
    train = written(tmp_path / "train.csv", [(t, "ab"[n % 2]) for n, t in enumerate(texts(40))])
    test = written(tmp_path / "test.csv", [("a new text", "a"), ("another text", "c")])
    task = custom(str(train), test_file=str(test), columns=Columns(("text",)))
    notes: list[str] = []
    assert len(load_test(task, None, "skip", notes)) == 1
    assert len(notes) == 1 and notes[0].startswith("test: 1 row skipped") and capsys.readouterr().err == ""
    load_test(task, None, "skip")
    assert "test: 1 row skipped" in capsys.readouterr().err


def test_columns_of_words_are_no_texts_of_a_classifier(tmp_path):
    path = tmp_path / "words.conll"
    path.write_text("Ada B-PER\nlives O\n")
    with pytest.raises(
        UserError, match=r"words\.conll: has columns of words for a tagger; --format=text reads each line"
    ):
        read_texts(str(path))
    assert read_texts(str(path), files=FileSettings(format="text")).text == ["Ada B-PER", "lives O"]
