"""A tagger from text to entities: predict and evaluate of a run whose student knows what each piece is, and no more."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.ragged import Ragged
from kd_keras.deploy import tagging
from kd_keras.deploy.runner import Runner
from kd_keras.tasks import FileSettings, Rows, Task
from kd_keras.tasks.records import iob2
from kd_keras.tasks.tagging_sources import METRICS
from kd_keras.text.tokenizers import SPECIAL, WordPiece

TASK = Task("names", "tagging", iob2(("LOC", "PER")), "entity_f1", METRICS)
OUT, B_LOC, I_LOC, B_PER, I_PER = range(5)
# What a piece is, wherever it stands; a later piece of a word must have no say.
PIECES = {
    **dict.fromkeys(SPECIAL, OUT), "Ada": B_PER, "Byron": I_PER, "Paris": B_LOC, "New": B_LOC, "York": I_LOC, "Lon": B_LOC,
    "##don": B_PER, "in": OUT, "said": OUT, ",": OUT, ".": OUT, "東": B_LOC, "京": I_LOC,
}  # fmt: skip
LENGTH = 12
SURE = np.exp(8) / (np.exp(8) + 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder: the embedding of a piece is its logits."""
    import keras

    layout = RunLayout(tmp_path_factory.mktemp("tagger"))
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(len(PIECES), 5, mask_zero=True, name="embeddings")(ids)
    logits = keras.layers.Dense(5, name="logits")(x)
    model = keras.Model({"ids": ids}, {"logits": logits, "hidden": x})
    model.get_layer("embeddings").embeddings.assign(8.0 * np.eye(5)[list(PIECES.values())])
    model.get_layer("logits").kernel.assign(np.eye(5))
    model.save(layout.student)
    WordPiece(list(PIECES), LENGTH, lowercase=False).save(layout.vocab, layout.tokenizer)
    files.write_json(layout.task, TASK.to_json())
    return layout.root


@pytest.fixture(scope="module")
def runner(run) -> Runner:
    return Runner.load(run)


def seen(found: list[dict]) -> list[tuple]:
    return [(e["type"], e["start"], e["end"], e["surface"]) for e in found]


LONG = " ".join(["Ada", "said", "Paris", "in", "London"] * 100)
TEXTS = {
    "Ada Byron said, in New York.": [("PER", 0, 9, "Ada Byron"), ("LOC", 19, 27, "New York")],
    "London": [("LOC", 0, 6, "London")],
    "in London Paris": [("LOC", 3, 9, "London"), ("LOC", 10, 15, "Paris")],
    "": [],
    "nobody 🙂 \u200d": [],
    "in\u3000Paris, שלום": [("LOC", 3, 8, "Paris")],
}
CONLL = "-DOCSTART-\tO\n\nAda\tO\nsaid\tO\n# 7\n\nNew\tO\nYork\tO\nParis\tO\n\n\nLondon\tO"
TAGS = [["B-PER", "O"], ["B-LOC", "I-LOC", "B-LOC"], ["B-LOC"]]
COLUMNS = "Ada\tB-PER\nsaid\tO\n\nNew\tB-LOC\nYork\tI-LOC\nParis\tB-LOC\n\nLondon\tB-LOC\n\n"
GOLD = "Ada\tB-PER\nsaid\tO\n\nNew\tB-LOC\nYork\tO\n\n" + "".join(
    f"{w}\t{t}\n" for w, t in zip(LONG.split()[:20], ["B-PER", "O", "B-LOC", "O", "B-LOC"] * 4, strict=True)
)


@pytest.fixture(scope="module")
def said(run, tmp_path_factory, run_verb):
    """name → what the command said, and (of files) wrote."""
    away = tmp_path_factory.mktemp("files")
    (away / "lines.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    for name in ("in.conll", "in.txt", "in.tsv"):
        (away / name).write_text(CONLL, encoding="utf-8")
    (away / "words.txt").write_text("London\nin\n\nParis\n", encoding="utf-8")
    rows = [{"tokens": ["New", "York", "Paris"]}, {"tokens": ["London"]}]
    (away / "tokens.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    (away / "texts.jsonl").write_text(json.dumps({"id": 1, "review": "in Paris"}) + "\n", encoding="utf-8")
    mixed = [{"tokens": ["in", "Paris"]}, {"text": "in  Paris"}, {"tokens": []}, {"text": ""}]
    (away / "mixed.jsonl").write_text("".join(json.dumps(r) + "\n" for r in mixed), encoding="utf-8")
    asked = {
        # First, as TensorFlow stays where it was imported.
        "top_k": ["--top_k=2", "Paris"], "text_b": ["--text_b=x", "Paris"],
        "text_column": [f"--input={away / 'in.conll'}", "--text_column=review"],
        "texts": list(TEXTS), "long": [LONG], "lines": [f"--input={away / 'lines.txt'}"],
        "stdin": (["--input=-"], "in Paris\nAda\n"), "columns on stdin": (["--input=-"], CONLL),
        "conll to conll": [f"--input={away / 'in.conll'}", f"--output={away / 'out.conll'}"],
        "conll to json": [f"--input={away / 'in.conll'}"],
        "txt": [f"--input={away / 'in.txt'}", f"--output={away / 'out.bio'}"],
        "tsv": [f"--input={away / 'in.tsv'}", "--format=conll", f"--output={away / 'out.tsv'}"],
        "words": [f"--input={away / 'words.txt'}", "--format=conll", f"--output={away / 'out.txt'}"],
        "text to conll": [f"--input={away / 'lines.txt'}", f"--output={away / 'lines.conll'}"],
        "tokens": [f"--input={away / 'tokens.jsonl'}"],
        "mixed": [f"--input={away / 'mixed.jsonl'}"],
        "jsonl of texts": [f"--input={away / 'texts.jsonl'}", "--text_column=review"],
    }  # fmt: skip
    cases = [(c[0] if isinstance(c, tuple) else c, c[1] if isinstance(c, tuple) else "") for c in asked.values()]
    answers = run_verb("predict", *[([f"--model_dir={run}", *a], stdin) for a, stdin in cases])
    return away, dict(zip(asked, answers, strict=True))


def lines(answer: dict) -> list[dict]:
    assert answer["code"] == 0, answer["err"]
    return [json.loads(line) for line in answer["out"].splitlines()]


def test_predict_prints_entities(said):
    for case in ("texts", "lines"):
        found = lines(said[1][case])
        # A line is stripped; none of these has white space at its ends but the zero-width one's.
        assert [f["text"] for f in found] == list(TEXTS)
        assert [seen(f["entities"]) for f in found] == list(TEXTS.values())
    for f in lines(said[1]["texts"]):
        assert set(f) == {"text", "entities"}
        for e in f["entities"]:
            assert f["text"][e["start"] : e["end"]] == e["surface"] and e["score"] == pytest.approx(SURE, abs=1e-6)
    assert [seen(f["entities"]) for f in lines(said[1]["stdin"])] == [[("LOC", 3, 8, "Paris")], [("PER", 0, 3, "Ada")]]
    assert seen(lines(said[1]["jsonl of texts"])[0]["entities"]) == [("LOC", 3, 8, "Paris")]


def test_no_word_of_a_long_text_is_lost(said, runner):
    (found,) = lines(said[1]["long"])
    assert len(found["entities"]) == 300, "of 500 words in windows of 12 pieces"
    assert [e["surface"] for e in found["entities"]] == ["Ada", "Paris", "London"] * 100
    asked = tagging.Asked.of([LONG, ""], TASK)
    assert tagging.logits_of(runner, asked.rows).lengths.tolist() == [500, 0]


def test_words_get_a_tag_each_in_order(said):
    away, answers = said
    for case, name in (("conll to conll", "out.conll"), ("txt", "out.bio"), ("tsv", "out.tsv")):
        assert answers[case]["code"] == 0, answers[case]["err"]
        assert answers[case]["out"] == "" and "3 predictions in" in answers[case]["err"]
        assert (away / name).read_text(encoding="utf-8") == COLUMNS
    assert (away / "out.txt").read_text(encoding="utf-8") == "London\tB-LOC\nin\tO\n\nParis\tB-LOC\n\n"
    for case in ("conll to json", "columns on stdin"):
        found = lines(answers[case])
        assert [f["tags"] for f in found] == TAGS and found[1]["tokens"] == ["New", "York", "Paris"]
    assert lines(answers["tokens"]) == [
        {"tokens": ["New", "York", "Paris"], "tags": ["B-LOC", "I-LOC", "B-LOC"]},
        {"tokens": ["London"], "tags": ["B-LOC"]},
    ]
    written = (away / "lines.conll").read_text(encoding="utf-8")
    assert written.startswith(
        "Ada\tB-PER\nByron\tI-PER\nsaid\tO\n,\tO\nin\tO\nNew\tB-LOC\nYork\tI-LOC\n.\tO\n\nLondon\tB-LOC\n"
    )
    assert written.count("\n\n") + written.count("\n\n\n") >= len(TEXTS), "a text without words has its blank line too"


def test_what_a_tagger_does_not_take_is_refused_before_tensorflow(said):
    for case, start in (
        ("top_k", "error: --top_k=2: "), ("text_b", "error: --text_b: "), ("text_column", "error: --text_column=review: ")
    ):  # fmt: skip
        answer = said[1][case]
        assert answer["code"] == 2 and not answer["tf"] and answer["out"] == "", answer
        (line,) = answer["err"].splitlines()
        assert line.startswith(start)
    assert "gives entities, no labels (task names)" in said[1]["top_k"]["err"]


def test_evaluate_scores_by_type(run, tmp_path, run_verb):
    (tmp_path / "gold.conll").write_text(GOLD, encoding="utf-8")
    (tmp_path / "other.conll").write_text("Ada\tB-PER\nParis\tB-CITY\n", encoding="utf-8")
    (tmp_path / "gold.jsonl").write_text('{"tokens": ["New", "York"], "tags": ["B-LOC", "O"]}\n', encoding="utf-8")
    files_ = [tmp_path / name for name in ("gold.conll", "gold.jsonl", "other.conll")]
    both, alone, other = run_verb("evaluate", *[[f"--model_dir={run}", f"--data_file={f}"] for f in files_])
    (found,) = lines(both)
    # Of 14 gold entities 13 are right, and "New York" is given for "New".
    assert found["rows"] == 3 and found["long_rows"] == 1 and found["format"] == "keras"
    for name in METRICS:
        assert found[name] == pytest.approx(13 / 14)
    assert found["by_type"]["LOC"] == {"rows": 9, "given": 9, "precision": 8 / 9, "recall": 8 / 9, "f1": 8 / 9}
    assert found["by_type"]["PER"]["f1"] == 1
    assert "| LOC | 9 | 9 | 88.89 |" in " ".join(both["err"].split())
    (found,) = lines(alone)
    assert found["entity_f1"] == 0 and "by_language" not in found and found["long_rows"] == 0
    assert other["code"] == 2 and not other["out"], other
    assert "line 2" in other["err"] and "CITY" in other["err"] and "LOC, PER" in other["err"]


def test_the_same_in_a_notebook(runner):
    assert seen(tagging.find_entities(runner, ["in Paris", ""])[0]) == [("LOC", 3, 8, "Paris")]
    assert tagging.find_entities(runner, []) == []
    gold = Ragged.cut(np.array([OUT, B_LOC, OUT], np.int32), np.array([2, 0, 1]))
    rows = Rows(["a", "b", "c"], ["in Paris", "New York", "London"], None, gold)
    found = tagging.evaluate(runner, rows)
    assert (found["entity_recall"], found["entity_precision"], found["long_rows"]) == (1, 1 / 2, 0)
    assert "always" not in found
    found = tagging.evaluate(runner, replace(rows, group=["de", "de", "sw"]))
    assert {k: (v["rows"], v["entity_f1"]) for k, v in found["by_language"].items()} == {"de": (1, 1.0), "sw": (1, 0.0)}
    assert found["mean_over_languages"]["entity_f1"] == 1 / 2
    shown = " ".join(tagging.tables(found).split())
    assert "| LOC | 1 | 2 | 50.00 | 100.00 | 66.67 |" in shown and "| mean | | 50.00 | 50.00 | 50.00 | 50.00 |" in shown
    few = Rows(["a"], ["in said"], None, Ragged.cut(np.array([B_LOC, OUT], np.int32), np.array([2])))
    assert "always" not in tagging.evaluate(runner, few), "two words may be chance"
    tags = Ragged.cut(np.array([B_LOC, OUT] * 10, np.int32), np.full(10, 2))
    nothing = Rows([f"r{n}" for n in range(10)], ["in said"] * 10, None, tags)
    assert tagging.evaluate(runner, nothing)["always"] == "O"


class Given:
    """A runner that gives these logits."""

    task = TASK

    def __init__(self, logits: np.ndarray):
        self._logits = logits

    def tag_logits(self, words):
        return Ragged.cut(self._logits, np.array([len(row) for row in words]))


def test_tags_are_the_best_that_may_follow_one_another():
    logits = np.array([[0.0, 1, 2, 0, 0], [0, 0, 3, 0, 0]])  # I-LOC I-LOC by itself
    asked = tagging.Asked.of(["New York"], TASK)
    assert "".join(tagging.answer_lines(Given(logits), asked, columns=True)) == "New\tB-LOC\nYork\tI-LOC\n\n"


def test_a_model_that_has_diverged_is_refused():
    with pytest.raises(UserError, match="not finite numbers"):
        tagging.find_entities(Given(np.full((1, 5), np.nan)), ["Paris"])


def test_each_row_is_answered_as_it_was_given(said):
    words, text, none, empty = lines(said[1]["mixed"])
    assert words == {"tokens": ["in", "Paris"], "tags": ["O", "B-LOC"]} and none == {"tokens": [], "tags": []}
    (found,) = text["entities"]
    assert (text["text"], found["start"], found["surface"]) == ("in  Paris", 4, "Paris")
    assert empty == {"text": "", "entities": []}


@pytest.mark.parametrize(
    ("output", "form", "columns"),
    [
        ("-", "auto", False), ("-", "conll", False), ("a.jsonl", "conll", False), ("a.txt", "auto", False),
        ("a.txt", "conll", True), ("a.CONLL", "auto", True), ("a.bio.gz", "auto", True), ("a.iob2", "jsonl", True),
    ],
)  # fmt: skip
def test_the_outputs_name_tells_columns(output, form, columns):
    assert tagging.writes_columns(output, FileSettings(format=form)) is columns


def test_what_a_file_asks_for(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("  blood type O\n", encoding="utf-8")
    asked = tagging.read(str(path), TASK)
    assert asked.texts == ["  blood type O"] and asked.places == [[(2, 7), (8, 12), (13, 14)]]
    assert tagging.read(str(path), TASK, how=FileSettings(word_column=1)).rows.text == ["blood"]
    path.write_text("Ada\tO\n", encoding="utf-8")
    assert not any(tagging.read(str(path), TASK).texts)
    assert tagging.read(str(path), TASK, how=FileSettings(format="text")).texts == ["Ada\tO"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "  Ada left"}\n', encoding="utf-8")
    (found,) = tagging.read(str(path), TASK).places
    assert found[0] == (2, 5)


def test_what_was_changed_in_words_is_said(tmp_path, capsys):
    path = tmp_path / "a.tsv"
    path.write_text("New York\tO\n", encoding="utf-8")
    tagging.read(str(path), TASK)
    assert "1 word with white space inside" in capsys.readouterr().err


def test_conllu_is_not_written():
    with pytest.raises(UserError, match="--output=a.conllu: CoNLL-U has no column for entities"):
        tagging.writes_columns("a.conllu", FileSettings())
