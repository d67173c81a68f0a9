"""Checks a .tflite file in headless Chromium: the page against predict or embed. Or serves the page to type into.

python browser/check.py MODEL.tflite [--input=TEXTS]     # exits with 1 if under 99.5 % of texts have predict's label or
                                                         # entities, or a plain text's vectors a cosine under 0.9999
python browser/check.py MODEL.tflite --serve             # open the address that it prints

It needs `npm install` in this folder (make browser-check does it). The check needs a Chromium: CHROMIUM=/path, or one
on the PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.layout import BundleLayout
from kd_keras.deploy.invented import built_in
from kd_keras.deploy.runner import Runner
from kd_keras.deploy.tagging import find_entities
from kd_keras.metrics.vectors import cosines
from kd_keras.students.inputs import student_ids
from kd_keras.tasks import Rows, read_texts
from kd_keras.tasks.readers import read_untagged
from kd_keras.text.words import split_words

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
PACKAGES = {
    "mediapipe": MODULES / "@mediapipe" / "tasks-text",
    "litert": MODULES / "@litertjs" / "core",
    "litert-utils": MODULES / "@litertjs" / "wasm-utils",
}
AGREEMENT, COSINE, SCORE = 0.995, 0.9999, 0.01
MOST = 10  # labels that the page shows
SECONDS = 180


class Pages(SimpleHTTPRequestHandler):
    """Serves the page, its packages, the model with its files, and the texts. Takes the answers."""

    def __init__(self, *args, model: Path, asked: dict, answers: queue.Queue, **kwargs):
        self.model, self.asked, self.answers = model, asked, answers
        super().__init__(*args, directory=str(HERE), **kwargs)

    def translate_path(self, path: str) -> str:
        bundle = BundleLayout(self.model.parent)
        own = {"model.tflite": self.model, "metadata.json": bundle.metadata, "vocab.txt": bundle.vocab}
        own |= {file.name: file for pattern in ("*.js", "*.css", "*.html") for file in HERE.glob(pattern)}
        name = path.partition("?")[0].removeprefix("/") or "index.html"
        package, _, inside = name.partition("/")
        if package in PACKAGES and ".." not in unquote(inside):
            return str(PACKAGES[package] / unquote(inside))
        return str(own.get(name, HERE / "no such file"))

    def end_headers(self) -> None:
        # An isolated page may measure time to 5 µs, other pages only to 100 µs.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def do_GET(self) -> None:
        if self.path != "/asked.json":
            return super().do_GET()
        body = json.dumps(self.asked).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args) -> None:
        pass


def chromium() -> str:
    """CHROMIUM, or the first browser on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise UserError(
            f"no browser: none of {', '.join(names)} is on the PATH; install one, or name it: CHROMIUM=/path"
        )
    return found


def ask_browser(address: str, answers: queue.Queue) -> dict:
    """The answer that the page sends from a headless browser."""
    # The browser's processes may still write there after it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [
            "--headless=new",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium's sandbox refuses root; only our own page is opened
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        browser = subprocess.Popen([chromium(), *flags, f"{address}?check"], **quiet)
        try:
            return answers.get(timeout=SECONDS)
        except queue.Empty:
            raise UserError(f"the browser gave no answer in {SECONDS} s") from None
        finally:
            browser.terminate()
            browser.wait()


def compare(runner: Runner, rows: Rows, got: dict) -> int:
    """Prints what agrees, and returns the exit code."""
    if "error" in got:
        raise UserError(f"in the browser: {got['error']}")
    task = runner.task
    judge = _entities if task.is_tagging else _vectors if task.is_text else _scores
    good = judge(runner, rows, got)
    pieces = np.array([a["ids"] == ids for a, ids in zip(got["answers"], _pieces(runner, rows), strict=True)])
    print(f"pieces agree on {_share(pieces)}")
    times = np.array([a["milliseconds"] for a in got["answers"]])[len(rows) // 10 :]  # the first ones warm up
    print(f"{np.median(times):.2f} ms a text (median; p90 {np.quantile(times, 0.9):.2f}), tokenizer and model")
    return 0 if good and pieces.mean() >= AGREEMENT else 1


def _vectors(runner: Runner, rows: Rows, got: dict) -> bool:
    want, typed = runner.scores(rows), got["typed"]
    alike, plain = cosines(np.array([a["vector"] for a in got["answers"]]), want), _plain(rows)
    text = rows.text[typed["number"]]
    near = cosines(np.broadcast_to(want[typed["number"]], want.shape), want)
    # Blank lines are not found.
    near[[other == text or not other.strip() for other in rows.text]] = -2
    first = [rows.text[int(near.argmax())]] if near.max() > -2 else []
    right = typed["shown"][:1] == first
    _print_typed(text, typed["shown"][:1], right, "embed")
    print(f"cosine with embed's vectors: mean {alike.mean():.6f}, least {alike.min():.6f}")
    print(f"of plain ASCII: least {alike[plain].min(initial=1):.6f} of {plain.sum():,}")
    return right and alike[plain].min(initial=1) >= COSINE and alike.mean() >= AGREEMENT


def _scores(runner: Runner, rows: Rows, got: dict) -> bool:
    """Compares scores of classes, of several labels a text (all must be the same), or of a regression."""
    task, typed = runner.task, got["typed"]
    names = np.array(task.labels)
    want, scores = runner.scores(rows), np.array([a["scores"] for a in got["answers"]])
    asked = want[typed["number"]]
    if task.is_regression:
        same = (np.abs(scores - want) <= SCORE)[:, 0]
        right = abs(float(typed["headline"]) - asked[0]) <= SCORE
    elif task.is_multilabel:
        same = ((scores > 0.5) == (want > 0.5)).all(1)
        right = typed["headline"] == (", ".join(names[asked > 0.5]) or "no label is over 0.5")
    else:
        same = scores.argmax(1) == want.argmax(1)
        right = typed["headline"] == names[asked.argmax()]
    right = right and len(typed["shown"]) == min(MOST, len(names)) and set(typed["shown"]) <= set(names)
    plain = _plain(rows)
    _print_typed(rows.text[typed["number"]], [typed["headline"]], right, "predict")
    print(f"{'scores' if task.is_regression else 'labels'} agree on {_share(same)}")
    print(f"of plain ASCII on {same[plain].sum():,} of {plain.sum():,}")
    print(f"largest difference of a score {np.abs(scores - want).max():.2g}")
    return right and same.mean() >= AGREEMENT and same[plain].all()


def _entities(runner: Runner, rows: Rows, got: dict) -> bool:
    def places(entities: list[dict]) -> list[tuple]:
        return [(e["type"], e["start"], e["end"]) for e in entities]

    want, typed = find_entities(runner, rows.text), got["typed"]
    pairs = list(zip(want, [a["entities"] for a in got["answers"]], strict=True))
    same = np.array([places(a) == places(b) for a, b in pairs])
    scores = [
        abs(x["score"] - y["score"]) for a, b in pairs if places(a) == places(b) for x, y in zip(a, b, strict=True)
    ]
    right = typed["marks"] == [e["surface"] for e in want[typed["number"]]]
    _print_typed(rows.text[typed["number"]], typed["marks"], right, "predict")
    print(f"entities agree on {_share(same)}; predict has {sum(map(len, want)):,}")
    print(f"largest difference of a score {max(scores, default=0):.2g}")
    return right and same.mean() >= AGREEMENT


def _pieces(runner: Runner, rows: Rows) -> Iterator[list[int]]:
    """The ids that the student reads of each text: both texts of a pair, or a tagger's words one by one."""
    tokenizer = runner.tokenizer
    room = min(tokenizer.max_length, runner.student.length)
    if not runner.task.is_tagging:
        ids = [t.cut(room, tokenizer.truncation) for _, t in sorted(student_ids(tokenizer, rows).items())]
        yield from ([int(i) for t in ids for i in t[n]] for n in range(len(rows)))
        return
    for text in rows.text:
        words = tokenizer.like(room).encode([text[a:b] for a, b in split_words(text)])
        yield [int(i) for n in range(len(words)) for i in (words[n] if len(words[n]) else [tokenizer.unk_id])]


def _plain(rows: Rows) -> np.ndarray:
    return np.array([text.isascii() for text in rows.text])


def _share(same: np.ndarray) -> str:
    return f"{same.sum():,} of {len(same):,} texts ({same.mean():.2%})"


def _print_typed(text: str, shown: list[str], right: bool, command: str) -> None:
    print(f"typed: {text!r} → {', '.join(shown) or 'nothing'} ({'as' if right else 'NOT as'} {command})")


def _rows(path: str | None, runner: Runner) -> Rows:
    """The texts to ask. The page finds a tagger's words itself. Words of a file are joined by spaces."""
    if not path:
        return built_in(runner.task)
    if not runner.task.is_tagging:
        return read_texts(path, task=runner.task)
    found = read_untagged(path, runner.task)
    return replace(found.rows, text=found.texts) if found.texts else found.rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="an unrolled .tflite file of export, the other files beside it")
    parser.add_argument("--input", help="texts, as predict --input reads them; invented ones if not given")
    parser.add_argument("--serve", action="store_true", help="serve the page instead, until Ctrl-C")
    asked = parser.parse_args()
    if missing := [path for path in PACKAGES.values() if not path.is_dir()]:
        raise UserError(f"{missing[0]}: missing; run npm install --ignore-scripts --no-package-lock in {HERE.name}/")
    runner = Runner.load_file(asked.model)
    if not runner.student.length:
        raise UserError(
            f"{asked.model}: takes texts of any length, but the page needs a fixed one; give an unrolled file of export"
        )
    rows = _rows(asked.input, runner)
    if not any(map(str.strip, rows.text)):
        raise UserError(f"--input={asked.input}: has only blank lines; expected at least one text")
    answers: queue.Queue = queue.Queue()
    texts = {"model": asked.model.name, "texts": rows.text, "seconds": rows.text_b}
    pages = partial(Pages, model=asked.model.resolve(), asked=texts, answers=answers)
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            if not asked.serve:
                return compare(runner, rows, ask_browser(address, answers))
            print(f"open {address}", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.shutdown()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
