"""predict --top_k: which labels stand in "scores", in which order, and where the flag is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.layout import RunLayout
from kd_keras.deploy.runner import Runner
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows, Task
from kd_keras.text.tokenizers import WordPiece

TEXTS = ["good film", "the plot is dull", ""]
REFUSED = ("--top_k=-1", "--top_k=2", "--top_k=0")


@pytest.fixture(scope="module")
def answers(tmp_path_factory, make_model, make_run, vocab, run_verb):
    """(what Runner says: number of labels → float[texts, labels], flag and number of labels → what predict wrote,
    the run of a regression)."""
    folders, scores = {}, {}
    for labels in (10, 11):
        layout = RunLayout(tmp_path_factory.mktemp(f"labels-{labels}"))
        task = Task("many", "single", tuple(f"label {n}" for n in range(labels)))
        make_model(
            StudentSettings(student="bilstm", embedding_size=6, hidden_size=5, dense_size=8), len(vocab), labels
        ).save(layout.student)
        WordPiece(vocab, 9).save(layout.vocab, layout.tokenizer)
        files.write_json(layout.task, task.to_json())
        folders[labels] = layout.root
        rows = Rows(["0", "1", "2"], TEXTS, None, np.full(3, -1, np.int32))
        scores[labels] = Runner.load(layout.root).scores(rows)
    number = make_run(regression=True).folder
    asked = {flag: [f"--model_dir={folders[11] if flag == '--top_k=-1' else number}", flag, "text"] for flag in REFUSED}
    for labels, folder in folders.items():
        for flag in ("", "--top_k=0", "--top_k=1", "--top_k=3", "--top_k=50"):
            asked[flag, labels] = [f"--model_dir={folder}", *([flag] if flag else []), *TEXTS]
    asked["regression"] = [f"--model_dir={number}", *TEXTS]
    RunLayout(number).flags.write_text("--encoding=cp1252\n")
    (number / "text.csv").write_bytes("text,label\nnaïve film,1.5\n".encode("cp1252"))
    asked["encoded"] = [f"--model_dir={number}", f"--input={number / 'text.csv'}"]
    return scores, dict(zip(asked, run_verb("predict", *asked.values()), strict=True)), number


@pytest.mark.parametrize("labels", [10, 11])
@pytest.mark.parametrize(
    ("flag", "shown"), [("", None), ("--top_k=0", 0), ("--top_k=1", 1), ("--top_k=3", 3), ("--top_k=50", 50)]
)
def test_the_best_come_first(answers, labels, flag, shown):
    answer = answers[1][flag, labels]
    assert answer["code"] == 0, answer["err"]
    lines = [json.loads(line) for line in answer["out"].splitlines()]
    if shown is None:
        shown = 0 if labels == 10 else 5
    for line, text, scores in zip(lines, TEXTS, answers[0][labels], strict=True):
        best = sorted(range(labels), key=lambda n: -scores[n])
        assert (line["text"], line["label"]) == (text, f"label {best[0]}")
        want = best[:shown] if shown else range(labels)
        assert list(line["scores"]) == [f"label {n}" for n in want]
        assert list(line["scores"].values()) == pytest.approx([scores[n] for n in want], abs=2e-6)


def test_what_cannot_be_is_refused_before_tensorflow(answers):
    said = {"--top_k=-1": "expected a number of labels, or 0 for all of them"}
    for flag in REFUSED:
        answer = answers[1][flag]
        assert answer["code"] == 2 and not answer["tf"] and answer["out"] == "", answer
        (line,) = answer["err"].splitlines()
        assert line.startswith(f"error: {flag}: ") and said.get(flag, "gives one number, no labels (task toy)") in line
    lines = [json.loads(line) for line in answers[1]["regression"]["out"].splitlines()]
    assert [set(line) for line in lines] == [{"text", "score"}] * 3


def test_a_file_in_the_encoding_of_the_run_needs_no_flag(answers, run_verb):
    answer = answers[1]["encoded"]
    assert answer["code"] == 0 and json.loads(answer["out"])["text"] == "naïve film"
    assert "text.csv: read as cp1252, as the run's own files were" in answer["err"]
    model, flag = answers[2], f"--data_file={answers[2] / 'text.csv'}"
    own, other = run_verb(
        "evaluate", [f"--model_dir={model}", flag], [f"--model_dir={model}", flag, "--encoding=utf-8"]
    )
    assert own["code"] == 0 and json.loads(own["out"])["rows"] == 1 and "read as cp1252" in own["err"]
    assert other["code"] == 2 and "read as" not in other["err"]
