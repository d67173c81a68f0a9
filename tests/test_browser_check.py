"""What browser/check.py serves and how it judges; the browser itself is `make browser-check`."""

from __future__ import annotations

import importlib.util
import json
import queue
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

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("browser_check", ROOT / "browser" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["index.html", "vectors.html"])
def test_what_is_served(check, tmp_path, page):
    (tmp_path / "dynamic.tflite").write_bytes(b"model")
    (tmp_path / "metadata.json").write_text('{"tokenizer": {}}')
    answers: queue.Queue = queue.Queue()
    pages = partial(check.Pages, model=tmp_path / "dynamic.tflite", texts=["naïve", ""], answers=answers, page=page)
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(path: str, data: bytes | None = None) -> bytes:
            return urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", data, timeout=10).read()

        try:
            page = get("/?check").decode()
            # What the page asks for is what there is.
            for name in ("texts.json", "metadata.json", "model.tflite", "mediapipe/text_bundle.mjs", "answers"):
                assert name in page
            assert b"export function plain" in get("/text.js") and b"body" in get("/page.css")
            assert get("/model.tflite") == b"model" and get("/metadata.json") == b'{"tokenizer": {}}'
            assert json.loads(get("/texts.json")) == ["naïve", ""]
            get("/answers", b'{"a": 1}')
            assert answers.get(timeout=5) == {"a": 1}
            for path in ("/check.py", "/package.json", "/mediapipe/../../../check.py", "/mediapipe/%2e%2e/%2e%2e/x"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    get(path)
        finally:
            server.shutdown()


def test_how_it_judges(check, capsys):
    count = 400
    texts = ["good"] * (count - 4) + ["é"] * 4
    rows = Rows(list(map(str, range(count))), texts, None, np.full(count, -1))
    want = np.tile([[0.2, 0.8]], (count, 1))
    runner = SimpleNamespace(task=Task("toy", "single", ("neg", "pos")), scores=lambda rows: want)

    def answer(wrong=(), label="pos") -> int:
        scores = [{"neg": 0.8, "pos": 0.2} if i in wrong else {"pos": 0.8, "neg": 0.2} for i in range(count)]
        got = [{"scores": s, "milliseconds": 1.5} for s in scores]
        typed = {"text": texts[0], "label": label, "shown": "pos0.8000neg0.2000"}
        return check.compare(runner, rows, {"typed": typed, "answers": got})

    assert answer() == 0
    said = capsys.readouterr().out
    assert "400 of 400 texts (100.00%)" in said and "of plain ASCII on 396 of 396" in said and "1.50 ms" in said
    assert answer(wrong=(398, 399)) == 0, "99.5 %"
    assert answer(wrong=(397, 398, 399)) == 1
    assert answer(wrong=(3,)) == 1, "of plain ASCII none may differ"
    assert answer(label="neg") == 1, "the page shows another label"
    with pytest.raises(UserError, match="in the browser: no wasm"):
        check.compare(runner, rows, {"error": "no wasm"})


def test_how_it_judges_vectors(check, capsys):
    texts = ["", "good film", "dull", "fine", "é"]
    rows = Rows(list("abcde"), texts, None, np.full(5, -1))
    want = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0.8, 0.6, 0], [1, 0, 0.1]])
    runner = SimpleNamespace(task=SimpleNamespace(is_text=True), scores=lambda rows: want)

    def answer(first="é", **moved) -> int:
        vectors = [moved.get(f"row{n}", v.tolist()) for n, v in enumerate(want)]
        got = [{"vector": v, "milliseconds": 2.0} for v in vectors]
        return check.compare(runner, rows, {"typed": {"text": "good film", "first": first}, "answers": got})

    assert answer() == 0 and "of plain ASCII: least 1.000000 of 4" in capsys.readouterr().out
    assert answer(first="fine") == 1, "the page finds another line"
    assert answer(row4=[1, 0, 0.2]) == 0, "not of plain ASCII"
    assert answer(row2=[0.02, 1, 0]) == 1, "a cosine of 0.9998"


def test_without_a_browser(check, monkeypatch):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(check.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no browser: none of chromium, .* CHROMIUM=/path"):
        check.chromium()
    monkeypatch.setenv("CHROMIUM", "/opt/browser")
    assert check.chromium() == "/opt/browser"
