"""What browser/check.py serves and how it judges; the browser itself is `make browser-check`."""

from __future__ import annotations

import importlib.util
import json
import queue
import re
import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows, Task
from kd_keras.text.token_ids import TokenIds

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("browser_check", ROOT / "browser" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_served(check, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "PACKAGES", {"litert": tmp_path / "package"})
    (tmp_path / "package" / "dist").mkdir(parents=True)
    (tmp_path / "package" / "dist" / "index.js").write_bytes(b"runtime")
    (tmp_path / "dynamic.tflite").write_bytes(b"model")
    (tmp_path / "metadata.json").write_text('{"tokenizer": {}}')
    (tmp_path / "vocab.txt").write_text("[PAD]")
    answers: queue.Queue = queue.Queue()
    asked = {"model": "dynamic.tflite", "texts": ["naïve", ""], "seconds": None}
    pages = partial(check.Pages, model=tmp_path / "dynamic.tflite", asked=asked, answers=answers)
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(path: str, data: bytes | None = None) -> bytes:
            return urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", data, timeout=10).read()

        try:
            page = get("/?check").decode()
            # What the page and its modules ask for is what there is.
            for name in re.findall(r'(?:href|src)="(\w[\w.]*)"', page):
                assert get(f"/{name}") == (ROOT / "browser" / name).read_bytes()
            modules = {path.name for path in (ROOT / "browser").glob("*.js")}
            for module in modules:
                assert set(re.findall(r'"\./(\w+\.js)"', get(f"/{module}").decode())) <= modules
            for name in ("asked.json", "metadata.json", "vocab.txt", "answers"):
                assert f'"{name}"' in get("/page.js").decode()
            assert get("/model.tflite") == b"model" and get("/metadata.json") == b'{"tokenizer": {}}'
            assert get("/vocab.txt") == b"[PAD]" and get("/litert/dist/index.js") == b"runtime"
            assert json.loads(get("/asked.json")) == asked
            get("/answers", b'{"a": 1}')
            assert answers.get(timeout=5) == {"a": 1}
            for path in ("/check.py", "/package.json", "/litert/../dynamic.tflite", "/litert/%2e%2e/dynamic.tflite"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    get(path)
        finally:
            server.shutdown()


class Letters:
    """A tokenizer of a piece a letter, which is the letter's number."""

    max_length, truncation, unk_id = 8, "head", 0

    def encode(self, texts):
        return TokenIds.of([[ord(c) for c in text][: self.max_length] for text in texts])

    def like(self, room):
        return self


def runner_of(task, scores):
    return SimpleNamespace(
        task=task, tokenizer=Letters(), student=SimpleNamespace(length=4), scores=lambda rows: scores
    )


def answers_of(rows, **each):
    """What the page sends of each text."""
    ids = [[ord(c) for c in text[:4]] for text in rows.text]
    return [
        {"ids": ids[n], "milliseconds": 1.5, **{name: values[n] for name, values in each.items()}}
        for n in range(len(rows))
    ]


def test_how_it_judges(check, capsys):
    count = 400
    texts = ["good"] * (count - 4) + ["é"] * 4
    rows = Rows(list(map(str, range(count))), texts, None, np.full(count, -1))
    runner = runner_of(Task("toy", "single", ("neg", "pos")), np.tile([[0.2, 0.8]], (count, 1)))

    def answer(wrong=(), headline="pos", shown=("neg", "pos"), other_pieces=0) -> int:
        got = answers_of(rows, scores=[[0.8, 0.2] if i in wrong else [0.2, 0.8] for i in range(count)])
        for one in got[:other_pieces]:
            one["ids"] = [1]
        typed = {"number": 0, "headline": headline, "shown": list(shown)}
        return check.compare(runner, rows, {"typed": typed, "answers": got})

    assert answer() == 0
    said = capsys.readouterr().out
    assert "400 of 400 texts (100.00%)" in said and "of plain ASCII on 396 of 396" in said and "1.50 ms" in said
    assert answer(wrong=(398, 399)) == 0, "99.5 %"
    assert answer(wrong=(397, 398, 399)) == 1
    assert answer(wrong=(3,)) == 1, "of plain ASCII none may differ"
    assert answer(headline="neg") == 1, "the page shows another label"
    assert answer(shown=["neg"]) == 1, "the page does not show all labels"
    assert answer(other_pieces=2) == 0 and answer(other_pieces=3) == 1
    with pytest.raises(UserError, match="in the browser: no wasm"):
        check.compare(runner, rows, {"error": "no wasm"})


def test_how_it_judges_several_labels_and_numbers(check):
    rows = Rows(list("ab"), ["good", "bad"], None, np.full(2, -1))
    several = runner_of(
        Task("toy", "multilabel", ("x", "y"), "micro_f1", ("micro_f1",)), np.array([[0.6, 0.7], [0.1, 0]])
    )

    def labels(scores, headline="x, y") -> int:
        typed = {"number": 0, "headline": headline, "shown": ["x", "y"]}
        return check.compare(several, rows, {"typed": typed, "answers": answers_of(rows, scores=scores)})

    assert labels([[0.6, 0.7], [0.1, 0]]) == 0
    assert labels([[0.6, 0.4], [0.1, 0]]) == 1, "one label less"
    assert labels([[0.6, 0.7], [0.1, 0]], "y") == 1
    number = runner_of(Task("toy", "regression", (), "pearson", ("pearson",)), np.array([[2.5], [-1.0]]))

    def score(value, headline="2.500") -> int:
        typed = {"number": 0, "headline": headline, "shown": []}
        return check.compare(number, rows, {"typed": typed, "answers": answers_of(rows, scores=[[value], [-1.0]])})

    assert score(2.505) == 0 and score(2.52) == 1 and score(2.5, "2.600") == 1


def test_how_it_judges_vectors(check, capsys):
    texts = ["", "good film", "dull", "fine", "é"]
    rows = Rows(list("abcde"), texts, None, np.full(5, -1))
    want = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0.8, 0.6, 0], [1, 0, 0.1]])
    runner = runner_of(SimpleNamespace(is_text=True, is_tagging=False), want)

    def answer(first="é", **moved) -> int:
        got = answers_of(rows, vector=[moved.get(f"row{n}", v.tolist()) for n, v in enumerate(want)])
        return check.compare(runner, rows, {"typed": {"number": 1, "shown": [first, "fine"]}, "answers": got})

    assert answer() == 0 and "of plain ASCII: least 1.000000 of 4" in capsys.readouterr().out
    assert answer(first="fine") == 1, "the page finds another line"
    assert answer(row4=[1, 0, 0.2]) == 0, "not of plain ASCII"
    assert answer(row2=[0.02, 1, 0]) == 1, "a cosine of 0.9998"


def test_how_it_judges_entities(check, capsys, monkeypatch):
    rows = Rows(["a", "b"], ["Oslo", "no \u200c"], None, np.full(2, -1))
    oslo = {"type": "LOC", "start": 0, "end": 4, "score": 0.9}
    monkeypatch.setattr(check, "find_entities", lambda runner, texts: [[{**oslo, "surface": "Oslo"}], []])
    runner = runner_of(SimpleNamespace(is_tagging=True), None)

    def answer(found, marks=("Oslo",)) -> int:
        got = answers_of(rows, entities=[found, []])
        got[1]["ids"] = [ord(c) for c in "no\u200c"]  # word by word
        return check.compare(runner, rows, {"typed": {"number": 0, "marks": list(marks)}, "answers": got})

    assert answer([{**oslo, "score": 0.7}]) == 0
    said = capsys.readouterr().out
    assert "entities agree on 2 of 2 texts" in said and "largest difference of a score 0.2" in said
    assert answer([]) == 1 and answer([{**oslo, "type": "PER"}]) == 1 and answer([{**oslo, "end": 3}]) == 1
    assert answer([oslo], marks=()) == 1, "the page highlights nothing"


def test_without_a_browser(check, monkeypatch):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(check.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no browser: none of chromium, .* CHROMIUM=/path"):
        check.chromium()
    monkeypatch.setenv("CHROMIUM", "/opt/browser")
    assert check.chromium() == "/opt/browser"
