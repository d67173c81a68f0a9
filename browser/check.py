"""A .tflite file in a browser: MediaPipe in headless Chromium beside predict, or embed; or a page to type into.

python browser/check.py MODEL.tflite [--input=TEXTS]     # exits with 1 where fewer than 99.5 % of labels agree, or
                                                         # a plain text's vectors have a cosine under 0.9999
python browser/check.py MODEL.tflite --serve             # open the address that it prints

Needs `npm install` in this folder (make browser-check does it), and for the check a Chromium: CHROMIUM=/path, or one on
the PATH.
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
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.layout import BundleLayout
from kd_keras.deploy.invented import built_in
from kd_keras.deploy.runner import Runner
from kd_keras.metrics.vectors import cosines
from kd_keras.tasks import read_texts

HERE = Path(__file__).resolve().parent
MEDIAPIPE = HERE / "node_modules" / "@mediapipe" / "tasks-text"
AGREEMENT, COSINE = 0.995, 0.9999
SECONDS = 180


class Pages(SimpleHTTPRequestHandler):
    """The page, MediaPipe's files, the model, the texts; takes the answers."""

    def __init__(self, *args, model: Path, texts: list[str], answers: queue.Queue, page: str, **kwargs):
        self.model, self.texts, self.answers, self.page = model, texts, answers, page
        super().__init__(*args, directory=str(HERE), **kwargs)

    def translate_path(self, path: str) -> str:
        name = path.partition("?")[0]
        if name in ("/model.tflite", "/metadata.json"):
            return str(self.model if name == "/model.tflite" else BundleLayout(self.model.parent).metadata)
        if name.startswith("/mediapipe/") and ".." not in name:
            return str(MEDIAPIPE / name.removeprefix("/mediapipe/"))
        if name in ("/text.js", "/page.css"):
            return str(HERE / name[1:])
        return str(HERE / self.page) if name == "/" else str(HERE / "no such file")

    def do_GET(self) -> None:
        if self.path != "/texts.json":
            return super().do_GET()
        body = json.dumps(self.texts).encode()
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
    """CHROMIUM, or the first on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise UserError(
            f"no browser: none of {', '.join(names)} is on the PATH; install one, or name it: CHROMIUM=/path"
        )
    return found


def ask_browser(address: str, answers: queue.Queue) -> dict:
    """What the page sends when a headless browser has opened it."""
    # Its processes may still write there when it is gone.
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


def compare(runner: Runner, rows, got: dict) -> int:
    """Prints what agrees; the exit code."""
    if "error" in got:
        raise UserError(f"in the browser: {got['error']}")
    return (_vectors if runner.task.is_text else _labels)(runner, rows, got)


def _vectors(runner: Runner, rows, got: dict) -> int:
    want = runner.scores(rows)
    found, typed = np.array([a["vector"] for a in got["answers"]]), got["typed"]
    alike = cosines(found, want)
    plain = _plain(rows)
    number = rows.text.index(typed["text"])
    near = cosines(np.broadcast_to(want[number], want.shape), want)
    # Blank lines are no lines to be found.
    near[[text == typed["text"] or not text.strip() for text in rows.text]] = -2
    right = typed["first"] == rows.text[int(near.argmax())]
    print(f"typed: {typed['text']!r} → {typed['first']!r} ({'as' if right else 'NOT as'} embed)")
    print(f"cosine with embed's vectors: mean {alike.mean():.6f}, least {alike.min():.6f}")
    print(f"of plain ASCII: least {alike[plain].min():.6f} of {plain.sum():,}")
    _print_times(got)
    return 0 if right and alike[plain].min() >= COSINE and alike.mean() >= AGREEMENT else 1


def _plain(rows) -> np.ndarray:
    return np.array([text.isascii() for text in rows.text])


def _print_times(got: dict) -> None:
    times = np.array([a["milliseconds"] for a in got["answers"]])[len(got["answers"]) // 10 :]  # the first ones warm up
    print(f"{np.median(times):.2f} ms a text (median; p90 {np.quantile(times, 0.9):.2f}), tokenizer and model")


def _labels(runner: Runner, rows, got: dict) -> int:
    labels = runner.task.labels
    want = runner.scores(rows)
    scores = np.array([[a["scores"][name] for name in labels] for a in got["answers"]])
    same = scores.argmax(1) == want.argmax(1)
    ascii_only = _plain(rows)
    typed = got["typed"]
    right = typed["label"] == labels[want[rows.text.index(typed["text"])].argmax()] and all(
        name in typed["shown"] for name in labels
    )
    print(f"typed: {typed['text']!r} → {typed['label']} ({'as' if right else 'NOT as'} predict)")
    print(f"labels agree on {same.sum():,} of {len(same):,} texts ({same.mean():.2%})")
    print(f"of plain ASCII on {same[ascii_only].sum():,} of {ascii_only.sum():,}")
    print(f"largest difference of a score {np.abs(scores - want).max():.2g}")
    _print_times(got)
    return 0 if right and same.mean() >= AGREEMENT and same[ascii_only].all() else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="an unrolled .tflite file of export, the other files beside it")
    parser.add_argument("--input", help="texts, as predict --input reads them; invented ones if not given")
    parser.add_argument("--serve", action="store_true", help="serve the page instead, until Ctrl-C")
    asked = parser.parse_args()
    if not MEDIAPIPE.is_dir():
        raise UserError(f"{MEDIAPIPE}: not there; run npm install --ignore-scripts --no-package-lock in {HERE.name}/")
    runner = Runner.load_file(asked.model)
    rows = read_texts(asked.input, task=runner.task) if asked.input else built_in(runner.task)
    answers: queue.Queue = queue.Queue()
    page = "vectors.html" if runner.task.is_text else "index.html"
    pages = partial(Pages, model=asked.model.resolve(), texts=rows.text, answers=answers, page=page)
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
