"""Tasks of two texts and of numbers: every official layout, what is left out, and every bad row."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kd_keras import tasks
from kd_keras.common.errors import UserError
from kd_keras.tasks import tfds_source
from kd_keras.tasks.readers import LabelReader

ROOT = Path(__file__).parents[2]

# name: (folder of the archive, dev file, header, row, gold labels as the files write them → in Rows); "|" is a tab
MNLI_HEADER = "index promptID pairID genre sentence1_parse sentence1 sentence2 label1 gold_label"
LAYOUTS = {
    "mrpc": ("MRPC", "dev.tsv", "Quality|#1 ID|#2 ID|#1 String|#2 String", "{y}|7|8|{a}|{b}", {"0": 0, "1": 1}),
    "qqp": ("QQP", "dev.tsv", "id|qid1|qid2|question1|question2|is_duplicate", "3|||{a}|{b}|{y}", {"1": 1, "0": 0}),
    "mnli": (
        "MNLI",
        "dev_matched.tsv",
        MNLI_HEADER.replace(" ", "|"),
        "0|1|1x|letters|( x )|{a}|{b}|neutral|{y}",
        {"contradiction": 2, "entailment": 0, "neutral": 1, "1": 1},
    ),
    "qnli": (
        "QNLI",
        "dev.tsv",
        "index|question|sentence|label",
        "0|{a}|{b}|{y}",
        {"entailment": 0, "not_entailment": 1},
    ),
    "rte": (
        "RTE",
        "dev.tsv",
        "index|sentence1|sentence2|label",
        "0|{a}|{b}|{y}",
        {"not_entailment": 1, "entailment": 0},
    ),
    "snli": (
        "SNLI",
        "dev.tsv",
        "index|sentence1|sentence2|label1|gold_label",
        "0|{a}|{b}|neutral|{y}",
        {"neutral": 1, "contradiction": 2},
    ),
    "stsb": (
        "STS-B",
        "dev.tsv",
        "index|genre|sentence1|sentence2|score",
        "0|news|{a}|{b}|{y}",
        {"5.000": 5.0, "0.25": 0.25},
    ),
    "sick": (
        "SICK",
        "dev.tsv",
        "pair_ID|sentence_A|sentence_B|relatedness_score|entailment_judgment",
        "4|{a}|{b}|4.5|{y}",
        {"CONTRADICTION": 2, "NEUTRAL": 1, "ENTAILMENT": 0},
    ),
    "sick_r": (
        "SICK",
        "dev.tsv",
        "pair_ID|sentence_A|sentence_B|relatedness_score|entailment_judgment",
        "4|{a}|{b}|{y}|NEUTRAL",
        {"4.5": 4.5, "1": 1.0},
    ),
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return str(path)


def table(name, rows):
    """An official file's content; ``rows`` are (text, text_b, label)."""
    header, row = LAYOUTS[name][2:4]
    lines = [header, *(row.format(a=a, b=b, y=y) for a, b, y in rows)]
    return "".join(line.replace("|", "\t") + "\n" for line in lines)


def folder_of(name, path, rows=None, dev=None):
    """Writes train and dev of ``name`` below ``path``."""
    written = list(LAYOUTS[name][4])
    rows = rows or [(f' The "cat" no. {i}, ', f"A pet {i} sleeps.", y) for i, y in enumerate(written)]
    write(path / "train.tsv", table(name, rows))
    write(path / LAYOUTS[name][1], table(name, dev or [("Birds sing.", "Fish swim.", written[0])]))
    return str(path)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No test looks for a network or into the real home."""
    monkeypatch.setattr(tfds_source, "network", lambda: False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


# official files


@pytest.mark.parametrize("in_archive", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_official_layout(tmp_path, name, in_archive):
    gold = LAYOUTS[name][4]
    folder_of(name, tmp_path / LAYOUTS[name][0] if in_archive else tmp_path)
    task = tasks.get(name)
    data = tasks.load(task, str(tmp_path))
    assert data.train.text == [f'The "cat" no. {i},' for i in range(len(gold))]  # quotes are text
    assert data.train.text_b == [f"A pet {i} sleeps." for i in range(len(gold))]
    assert data.train.label.tolist() == list(gold.values())
    assert data.train.label.dtype == (np.float32 if task.is_regression else np.int32)
    assert data.dev.ids == ["dev-0"] and data.dev.text_b == ["Fish swim."]
    assert task.is_pair and task.max_length == 128
    assert tasks.load_test(task, str(tmp_path)) is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_bad_rows_of_official_files(tmp_path, name):
    task, (_, _, header, _, gold) = tasks.get(name), LAYOUTS[name]
    good = ("a", "b", next(iter(gold)))
    columns = {"a": task.columns.text[0], "b": task.columns.text_b, "y": task.columns.label}
    expected = "a number" if task.is_regression else f"one of 0 to {len(task.labels) - 1}, or {task.labels[0]}"
    for row, column, what in (
        ((" ", "b", good[2]), "a", "expected text, found nothing"),
        (("a", "", good[2]), "b", "expected text, found nothing"),
        (("a", "b", "maybe"), "y", f"expected {expected}"),
        (("a", "b", ""), "y", f"expected {expected}"),
    ):
        folder = folder_of(name, tmp_path, [good, row])
        with pytest.raises(UserError) as e:
            tasks.load(task, folder)
        assert str(e.value).startswith(f"{tmp_path / 'train.tsv'}, line 3, column {columns[column]!r}: {what}")
        assert str(e.value).endswith("(--on_bad_row=skip leaves such rows out)") and "\n" not in str(e.value)
        data = tasks.load(task, folder, "skip")
        assert data.train.ids == ["train-0"] and data.notes[-1].startswith("1 row skipped: ")
    write(tmp_path / "train.tsv", table(name, [good]) + "only\tthis\n")
    width = header.count("|") + 1
    with pytest.raises(UserError, match=rf"train\.tsv, line 3: expected {width} fields .*: no value for column '"):
        tasks.load(task, str(tmp_path))
    write(tmp_path / "train.tsv", table(name, [good]).replace(columns["b"], "other"))
    with pytest.raises(UserError, match=rf"train\.tsv: no column '{columns['b']}'; its columns are"):
        tasks.load(task, str(tmp_path))


def test_labels_and_metrics_are_those_of_glue():
    nli = ("entailment", "neutral", "contradiction")
    expected = {
        "mrpc": (("not_equivalent", "equivalent"), "accuracy", ("f1", "accuracy")),
        "qqp": (("not_duplicate", "duplicate"), "accuracy", ("accuracy", "f1")),
        "mnli": (nli, "accuracy", ("accuracy",)),
        "qnli": (("entailment", "not_entailment"), "accuracy", ("accuracy",)),
        "rte": (("entailment", "not_entailment"), "accuracy", ("accuracy",)),
        "snli": (nli, "accuracy", ("accuracy",)),
        "sick": (nli, "accuracy", ("accuracy",)),
        "stsb": ((), "pearson", ("pearson", "spearman")),
        "sick_r": ((), "pearson", ("pearson", "spearman")),
    }
    for name in LAYOUTS:
        task = tasks.get(name)
        assert (task.labels, task.metric, task.metrics) == expected[name], name
        assert task.num_outputs == (len(task.labels) or 1)
        assert task.kind == ("pair" if task.labels else "regression")


def test_rows_without_consensus_are_left_out_and_counted(tmp_path):
    rows = [("a", "b", "neutral"), ("c", "d", "-"), ("", "", "-"), ("e", "f", "entailment")]
    folder = folder_of("snli", tmp_path, rows, [("g", "h", "-"), ("i", "j", "neutral")])
    write(tmp_path / "test.tsv", table("snli", [("k", "l", "contradiction")]))
    task = tasks.get("snli")
    data = tasks.load(task, folder)  # on_bad_row="stop": these are no errors
    assert data.train.ids == ["train-0", "train-3"] and data.dev.ids == ["dev-1"]
    assert data.notes == [
        f"{tmp_path / 'train.tsv'}: 2 rows left out: no gold label",
        f"{tmp_path / 'dev.tsv'}: 1 row left out: no gold label",
    ]
    assert tasks.load_test(task, folder).label.tolist() == [2]
    write(tmp_path / "train.tsv", table("snli", [("a", "b", "-")]))
    with pytest.raises(UserError, match=r"train\.tsv: no row can be used: no row has a gold label"):
        tasks.load(task, folder)
    write(tmp_path / "train.tsv", table("rte", [("a", "b", "-")]))
    with pytest.raises(UserError, match="found '-'"):  # RTE knows no such thing
        tasks.load(tasks.get("rte"), folder)


def test_evaluate_leaves_out_rows_without_consensus_and_says_so(tmp_path, capsys):
    path = write(tmp_path / "x.tsv", table("snli", [("a", "b", "-"), ("c", "d", "neutral")]))
    rows = tasks.read_labelled(path, tasks.get("snli"))
    assert rows.ids == ["row-1"] and rows.text_b == ["d"]
    assert "x.tsv: 1 row left out" in capsys.readouterr().err


@pytest.mark.parametrize("name, stem", [("snli", "snli_1.0_{}"), ("mnli", "multinli_1.0_{}")])
def test_the_first_publishers_jsonl(tmp_path, name, stem):
    dev = {"snli": "dev", "mnli": "dev_matched"}[name]
    for split, gold in (("train", ("neutral", "-")), (dev, ("entailment",))):
        lines = [{"pairID": "1", "sentence2": "b", "sentence1": "a", "gold_label": y} for y in gold]
        write(tmp_path / f"{stem.format(split)}.jsonl", "".join(json.dumps(x) + "\n" for x in lines))
    data = tasks.load(tasks.get(name), str(tmp_path))
    assert data.train.label.tolist() == [1] and data.dev.label.tolist() == [0]
    assert data.train.text + data.train.text_b == ["a", "b"]


def test_mnli_has_a_second_dev_split(tmp_path):
    task = tasks.get("mnli")
    folder = folder_of("mnli", tmp_path)
    data = tasks.load(task, folder)
    assert data.extra == {} and data.notes == ["dev_mismatched: not in this source"]
    write(tmp_path / "dev_mismatched.tsv", table("mnli", [("x", "y", "neutral"), ("v", "w", "entailment")]))
    more = tasks.load(task, folder)
    assert list(more.extra) == ["dev_mismatched"] and more.notes == []
    assert more.extra["dev_mismatched"].ids == ["dev_mismatched-0", "dev_mismatched-1"]
    assert more.extra["dev_mismatched"].label.tolist() == [1, 0]
    assert more.fingerprint == data.fingerprint
    write(tmp_path / "dev_mismatched.tsv", table("mnli", [("x", "y", "nein")]))
    with pytest.raises(UserError, match=r"dev_mismatched\.tsv, line 2, column 'gold_label'"):
        tasks.load(task, folder)
    (tmp_path / "dev_matched.tsv").unlink()
    with pytest.raises(UserError, match=r"has no dev_matched\.tsv or .*; expected train\.tsv and dev_matched\.tsv"):
        tasks.load(task, folder)


def test_sick_as_semeval_published_it(tmp_path):
    for split, y in (("train", "4.5"), ("trial", "3"), ("test_annotated", "1.5")):
        write(tmp_path / f"SICK/SICK_{split}.txt", table("sick_r", [("a", "b", y)]).replace("\n", "\r\n"))
    scores, classes = tasks.get("sick_r"), tasks.get("sick")
    data = tasks.load(scores, str(tmp_path))
    assert data.train.label.tolist() == [4.5] and data.dev.label.tolist() == [3.0]
    assert tasks.load_test(scores, str(tmp_path)).label.tolist() == [1.5]
    assert tasks.load(classes, str(tmp_path)).train.label.tolist() == [1]
    assert tasks.load_test(classes, str(tmp_path)).ids == ["test-0"]


def test_labels_in_other_letters():
    read = LabelReader("pair", ("yes", "No", "NO"), 0).read
    assert [read(x) for x in ("YES", "No", "NO", "no", "2", "y")] == [0, 1, 2, None, 2, None]


# tensorflow-datasets


class FakeTfds:
    def __init__(self, splits):
        self.splits = splits

    def load(self, name, split, data_dir):
        return self.splits[split]

    def as_numpy(self, examples):
        return examples


@pytest.fixture
def tfds(monkeypatch):
    def use(**splits):
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", FakeTfds(splits))
        monkeypatch.setattr(tfds_source.packages, "installed", lambda name: True)
        monkeypatch.setattr(tfds_source, "network", lambda: True)

    return use


def nli(label, idx=0):
    return {"premise": b" A man sits. ", "hypothesis": "Né a man.".encode(), "label": np.int64(label), "idx": idx}


def test_tensorflow_datasets_has_pairs_and_extra_splits(tfds):
    tfds(train=[nli(2, 9)], validation_matched=[nli(0)], validation_mismatched=[nli(1, 3)])
    data = tasks.load(tasks.get("mnli"))
    assert (data.train.ids, data.train.text, data.train.text_b) == (["train-9"], ["A man sits."], ["Né a man."])
    assert data.train.label.tolist() == [2] and data.extra["dev_mismatched"].ids == ["dev_mismatched-3"]
    assert data.notes == []


def test_tensorflow_datasets_leaves_out_rows_without_consensus(tfds):
    tfds(train=[nli(-1), nli(1, 1), nli(-1, 2)], validation=[nli(0)], test=[nli(2)])
    data = tasks.load(tasks.get("snli"))
    assert data.train.ids == ["train-1"]
    assert data.notes == ["tensorflow-datasets snli, train: 2 rows left out: no gold label"]
    assert tasks.load_test(tasks.get("snli")).label.tolist() == [2]
    tfds(train=[nli(1), nli(3)], validation=[nli(0)])
    with pytest.raises(UserError, match="snli, train example 1: label 3"):
        tasks.load(tasks.get("snli"))
    tfds(train=[nli(1) | {"hypothesis": b" "}], validation=[nli(0)])
    with pytest.raises(UserError, match="snli, train example 0: no text in 'hypothesis'"):
        tasks.load(tasks.get("snli"))


@pytest.mark.parametrize(
    "name, a, b", [("mrpc", "sentence1", "sentence2"), ("qqp", "question1", "question2"), ("qnli", "question", "sentence"), ("rte", "sentence1", "sentence2")]
)  # fmt: skip
def test_tensorflow_datasets_of_glue(tfds, name, a, b):
    tfds(train=[{a: b"x", b: b"y", "label": 1, "idx": 0}], validation=[{a: b"z", b: b"w", "label": 0, "idx": 0}])
    data = tasks.load(tasks.get(name))
    assert (data.train.text, data.train.text_b, data.dev.label.tolist()) == (["x"], ["y"], [0])


def test_tensorflow_datasets_of_a_regression(tfds):
    row = {"sentence1": b"x", "sentence2": b"y", "label": np.float32(3.8), "idx": 0}
    tfds(train=[row], validation=[row | {"label": np.float32(0)}])
    data = tasks.load(tasks.get("stsb"))
    assert data.train.label.dtype == np.float32 and data.train.label.tolist() == [np.float32(3.8)]
    tfds(train=[row | {"label": np.float32("nan")}], validation=[row])
    with pytest.raises(UserError, match="train example 0: label nan"):
        tasks.load(tasks.get("stsb"))


# the command


def command(*args):
    return subprocess.run(
        [sys.executable, "-m", "kd_keras.tasks", *args], capture_output=True, text=True, timeout=60, cwd=ROOT
    )


def test_command_lists_kinds():
    listed = command().stdout
    assert "\n    pair, selected by accuracy, 2 labels: not_equivalent, equivalent\n" in listed
    assert "\n    regression of pairs, selected by pearson, a number\n" in listed
    assert "[--text_b_column=NAME] [--regression]" in listed


def test_command_shows_both_texts_and_every_split(tmp_path):
    long = "word " * 30
    folder = folder_of("mnli", tmp_path, [(long, "A short one.", "neutral"), ("p", "q", "-")])
    write(tmp_path / "dev_mismatched.tsv", table("mnli", [("x", "y", "neutral")]))
    shown = command("--task=mnli", f"--data_dir={folder}").stdout
    assert f"train-0 [neutral] {long[:59]}… ||| A short one.\n" in shown
    assert "dev_mismatched: 1 rows\n    labels: entailment 0, neutral 1, contradiction 0\n" in shown
    assert "train.tsv: 1 row left out" in shown
    assert "50% have 33 or fewer" in shown  # words of both


def test_command_shows_the_spread_of_scores(tmp_path):
    rows = [(f"a {i}", "b", i / 4) for i in range(21)]
    shown = command("--task=stsb", f"--data_dir={folder_of('stsb', tmp_path, rows)}").stdout
    assert "train: 21 rows\n    scores: 0 to 5; 10% have 0.5 or less, 50% 2.5, 90% 4.5\n" in shown
    assert "train-20 [5] a 20 ||| b\n" in shown and "labels" not in shown.replace("none with labels", "")
