"""What the tests share: a vocabulary of a few words, two-layer BERTs, toy sentences that can be told apart.

TensorFlow is imported by the fixtures that need it, so that light tests stay light.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["made_encoders", "made_runs", "made_taggers"]

ROOT = Path(__file__).resolve().parents[1]

GOOD = ("good", "fine", "lovely")
BAD = ("bad", "dull", "awful")
FILLER = ("a", "film", "the", "plot", "is", "and", "very", ".")
# Pieces for words that are not listed whole.
PIECES = ("##s", "##ly", "b", "l", "##b", "##a", "##l", "s")
VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER, *PIECES)
SMALL_BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # the usual 0.02 gives a model this small the same output for every text
}


def sentences(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Texts of 2 to 9 words with one word that gives the label away: 1 for GOOD, 0 for BAD."""
    draw = np.random.default_rng(seed)
    texts, labels = [], []
    for n in range(count):
        words = list(draw.choice(FILLER, draw.integers(1, 9)))
        words.insert(draw.integers(0, len(words) + 1), str(draw.choice(GOOD if n % 2 else BAD)))
        texts.append(" ".join(words))
        labels.append(n % 2)
    return texts, np.array(labels, np.int32)


@pytest.fixture(scope="session")
def vocab() -> list[str]:
    return list(VOCAB)


@pytest.fixture(scope="session")
def toy_rows():
    """(count, seed=0, prefix="train") → Rows of distinct ids."""
    from kd_keras.tasks import Rows

    def make(count: int, seed: int = 0, prefix: str = "train") -> Rows:
        texts, labels = sentences(count, seed)
        return Rows([f"{prefix}-{i}" for i in range(count)], texts, None, labels)

    return make


@pytest.fixture(scope="session")
def toy_data(toy_rows):
    """(train rows, dev rows) → TaskData of a task named "toy"."""
    from kd_keras.tasks import Task, TaskData

    def make(train: int = 48, dev: int = 20) -> TaskData:
        task = Task("toy", "single", ("neg", "pos"), max_length=16)
        return TaskData(task, toy_rows(train, 0), toy_rows(dev, 1, "dev"), "made up", [])

    return make


@pytest.fixture(scope="session")
def make_teacher(vocab):
    """(labels=2, seed=1, max_length=16, **config) → an untrained two-layer Teacher."""
    from kd_keras.teachers.bert import Teacher

    def make(labels: int = 2, seed: int = 1, max_length: int = 16, **config):
        return Teacher.random(vocab, labels, max_length, seed, **(SMALL_BERT | config))

    return make


@pytest.fixture(scope="session")
def bert_folder(make_teacher, tmp_path_factory) -> Path:
    """A local Hugging Face folder: config.json, vocab.txt, model.safetensors; read only."""
    folder = tmp_path_factory.mktemp("bert") / "tiny-bert"
    make_teacher(seed=7, initializer_range=0.1).save(folder)  # learns faster than from larger weights
    (folder / "teacher.json").unlink()  # as anyone else's checkpoint
    return folder


@pytest.fixture(scope="session")
def run_python():
    """(*arguments, input=None, cwd=None, timeout=600) → CompletedProcess with bytes decoded as UTF-8."""

    def run(
        *arguments: object, input: str | None = None, cwd: Path | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            input=input, env=environment, cwd=cwd or ROOT, capture_output=True, text=True, encoding="utf-8",
            timeout=timeout,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def write_csv():
    """(path, texts, labels, header=…) → path of a CSV with label names "neg" and "pos"."""
    import csv

    def write(path: Path, texts: list[str], labels, header: tuple[str, str] = ("text", "label")) -> Path:
        with open(path, "w", newline="", encoding="utf-8") as f:
            out = csv.writer(f)
            out.writerow(header)
            out.writerows([t, ("neg", "pos")[n]] for t, n in zip(texts, labels, strict=True))
        return path

    return write


@pytest.fixture(scope="session")
def toy_sentences():
    return sentences


# Runs a verb's commands one after the other in one fresh process, as starting one with TensorFlow takes seconds.
# Standard input: JSON list of {"argv": [...], "stdin": "..."}; standard output: JSON list of what came out.
_DRIVER = """
import contextlib, importlib, io, json, sys
sys.modules.update(dict.fromkeys(sys.argv[3:]))  # Python finds none of these now
from absl import flags
from kd_keras.common import cli
verb, eager, cases = sys.argv[1], sys.argv[2] == "eager", json.load(sys.stdin)
sys.argv[:] = [verb]
if eager:
    import tensorflow as tf
    tf.config.run_functions_eagerly(True)
module = importlib.import_module(verb)
answers = []
for case in cases:
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv[:] = [verb, *case["argv"]]
    sys.stdin = io.TextIOWrapper(io.BytesIO(case.get("stdin", "").encode()), encoding="utf-8")
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.run(module.main)
        except SystemExit as e:
            code = e.code or 0
    answers.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "tf": "tensorflow" in sys.modules})
json.dump(answers, sys.__stdout__)
"""


@pytest.fixture(scope="session")
def run_verb(run_python, tmp_path_factory):
    """(verb, *cases) → [{"code", "out", "err", "tf"}, …]; a case is a list of arguments, or (arguments, stdin).

    With ``eager=True`` no graph is traced: for many students of a few updates each, whose tracing takes longest.
    The modules of ``without`` are as if they were not installed.
    """
    import json

    away = tmp_path_factory.mktemp("cwd")  # so that nothing finds, or writes, the project's own saved_models

    def run(verb: str, *cases: list | tuple[list, str], eager: bool = False, without: Sequence[str] = ()) -> list[dict]:
        asked = [{"argv": c, "stdin": ""} if isinstance(c, list) else {"argv": c[0], "stdin": c[1]} for c in cases]
        asked = [c | {"argv": [str(a) for a in c["argv"]]} for c in asked]
        mode = "eager" if eager else "graph"
        done = run_python("-c", _DRIVER, f"kd_keras.{verb}", mode, *without, input=json.dumps(asked), cwd=away)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    return run


class TrainedRun:
    """A finished run of train on made-up sentences; read only.

    Attributes:
      folder: the run folder.
      files: split → CSV.
      arguments: of the command, without --output_dir.
      stderr, stdout: what the command wrote.
    """

    def __init__(self, folder: Path, files: dict[str, Path], arguments: list[str]):
        self.folder, self.files, self.arguments = folder, files, arguments
        self.stdout = self.stderr = ""


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory, bert_folder, write_csv, run_python) -> TrainedRun:
    """One run of the whole job with two seeds, which many tests look at; trained once for all of xdist's workers."""
    import json

    from filelock import FileLock

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # a worker's own folder is in that of the session
    said = shared / "trained-run.json"
    with FileLock(shared / "trained-run.lock"):
        if not said.exists():
            made = _train(tmp_path_factory.mktemp("job"), bert_folder, write_csv, run_python)
            said.write_text(json.dumps(made), encoding="utf-8")
    made = json.loads(said.read_text(encoding="utf-8"))
    run = TrainedRun(Path(made["folder"]), {k: Path(v) for k, v in made["files"].items()}, made["arguments"])
    run.stdout, run.stderr = made["stdout"], made["stderr"]
    return run


def _train(away: Path, bert_folder: Path, write_csv, run_python) -> dict:
    files = {
        split: write_csv(away / f"{split}.csv", *sentences(count, seed))
        for split, count, seed in (("train", 96, 0), ("dev", 30, 1), ("test", 20, 2))
    }
    arguments = [
        "--task=custom", *(f"--{split}_file={path}" for split, path in files.items()),
        f"--teacher={bert_folder}", "--teacher_epochs=6", "--teacher_batch_size=8", "--teacher_learning_rate=1e-2",
        "--teacher_max_length=16", "--student_max_length=12", "--shard_rows=16", "--label_batch_tokens=64", "--epochs=2", "--batch_size=8",
        "--learning_rate=0.02", "--embedding_size=8", "--hidden_size=6", "--dense_size=8", "--alpha=0.25", "--seeds=2",
        "--augment=none", "--unlabeled=none",
    ]  # fmt: skip
    folder = away / "runs" / "one"
    done = run_python("-m", "kd_keras.train", *arguments, f"--output_dir={folder}", cwd=away)
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        "folder": str(folder),
        "files": {split: str(path) for split, path in files.items()},
        "arguments": arguments,
        "stdout": done.stdout,
        "stderr": done.stderr,
    }
