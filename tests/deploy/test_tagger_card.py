"""A tagger's README.md, against what it is made from."""

from __future__ import annotations

import pytest

from kd_keras.deploy import bundle, model_card
from kd_keras.tasks import Task
from kd_keras.tasks.records import iob2

TASK = Task("panx", "tagging", iob2(["LOC", "ORG", "PER"]), "entity_f1", ("entity_f1", "conlleval_f1"))
VERIFIED = {
    "rows": 77, "words": 1234, "cut": 3, "agreement": 0.9991, "clear_agreement": 1.0, "allowed": {"agreement": 0.989},
    "metrics": {"entity_f1": 0.71, "conlleval_f1": 0.72}, "keras_metrics": {"entity_f1": 0.715, "conlleval_f1": 0.725},
}  # fmt: skip
ENTRY = {
    "format": "tflite_loop_dynamic", "form": "loop", "precision": "dynamic", "length": None, "bytes": 54321,
    "inputs": [{"name": "ids", "dtype": "int32", "shape": [-1, -1]}],
    "output": {"name": "logits", "dtype": "float32", "shape": [-1, -1, 7]},
    "reads": "int32", "mediapipe": "no: it has no task for a tagger", "checked_on": "dev split",
    "verification": VERIFIED,
}  # fmt: skip
METRICS = {
    "rows": {"train": 900, "dev": 80},
    "teacher": {"name": "me5", "parameters": 117_000_000, "dev": {"entity_f1": 0.81, "conlleval_f1": 0.815}},
    "student": {"parameters": 2_000_000, "dev": {"entity_f1": 0.7123, "conlleval_f1": 0.7234}},
    "tagging": {
        "dev": {
            "student": {
                "by_language": {
                    "sw": {"rows": 30, "entity_f1": 0.6543, "conlleval_f1": 0.6654},
                    "de": {"rows": 50, "entity_f1": 0.7654, "conlleval_f1": 0.7765},
                }
            }
        }
    },
}


@pytest.fixture
def page(tagger_tokenizer) -> str:
    about = bundle.describe(TASK, tagger_tokenizer, "abc", "distilled-seed1")
    return model_card.page(about, {"loop_dynamic.tflite": ENTRY}, METRICS, "", "distilled-seed1")


def test_it_says_what_a_tagger_is(page):
    assert "pipeline_tag: token-classification" in page and "text-classification" not in page
    assert "It reads single texts and finds LOC, ORG, PER. It gives each word a tag" in page
    head = page.split("---")[1]
    assert "language:\n- de\n- sw\n" in head
    assert "same tag: the share of words on which" in page and "A longer text is read in windows." in page
    assert "Scores add up to 1" not in page and "first piece" in page and "at most 12 pieces" in page


def test_its_numbers_are_those_of_the_files(page):
    line = next(x for x in page.splitlines() if x.startswith("| loop_dynamic.tflite"))
    cells = [c.strip() for c in line.strip("|").split("|")]
    assert cells[:4] == ["loop_dynamic.tflite", "54,321", "any", "99.91%"]
    assert cells[4:6] in (["71.00", "71.50"], ["0.7100", "0.7150"])
    assert cells[6:] == ["1,234", "dev split", "98.9%"]
    assert [c.strip() for c in _row(page, "de")] == ["de", "50", "76.54", "77.65"]
    assert [c.strip() for c in _row(page, "sw")] == ["sw", "30", "65.43", "66.54"]
    assert page.index("| de ") < page.index("| sw ")


def test_it_shows_kotlin_and_promises_no_mediapipe(page):
    assert "```kotlin\n" in page and "Tagger(context, room = 12)" in page and "${entity.type}" in page
    assert "MediaPipe Tasks has no task that tags words" in page and "TextClassifier" not in page
    assert "$" not in page.replace("${", "")


def test_windows_fit_into_every_file(tagger_tokenizer):
    about = bundle.describe(TASK, tagger_tokenizer, "abc", "distilled-seed1")
    fixed = ENTRY | {"inputs": [{"name": "ids", "dtype": "int32", "shape": [1, 8]}]}
    page = model_card.page(about, {"loop_dynamic.tflite": ENTRY, "dynamic.tflite": fixed}, METRICS, "", None)
    assert "Tagger(context, room = 8)" in page


def test_without_languages_it_names_none(tagger_tokenizer):
    about = bundle.describe(TASK, tagger_tokenizer, "abc", None)
    page = model_card.page(about, {"loop_dynamic.tflite": ENTRY}, {}, "", None)
    assert "language:" not in page and "## Languages" not in page


def _row(page: str, name: str) -> list[str]:
    return next(x for x in page.splitlines() if x.startswith(f"| {name} ")).strip("|").split("|")
