"""Reads tensorflow-datasets: prepared on disk, or downloaded if there is a network."""

from __future__ import annotations

import math
import os
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common import packages
from kd_keras.common.devices import import_tensorflow
from kd_keras.common.errors import UserError
from kd_keras.common.files import tail
from kd_keras.common.progress import say
from kd_keras.tasks.records import Task, without_breaks
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.tables import BadRows

PROBE_URL = "https://storage.googleapis.com/"  # the first place where tensorflow-datasets looks
PROBE_SECONDS = 3.0


def network() -> bool:
    """Whether the data's host answers within 3 s.

    tensorflow-datasets itself takes 205 s to find out. A thread asks, as the lookup of a name has no time limit. urllib
    uses the environment's proxy. Any HTTP answer is enough.
    """
    answered = threading.Event()

    def probe() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(PROBE_URL, method="HEAD"), timeout=PROBE_SECONDS).close()
            answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            pass
        done.set()

    done = threading.Event()
    threading.Thread(target=probe, daemon=True).start()
    done.wait(PROBE_SECONDS)
    return answered.is_set()


def tfds_dir() -> Path:
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", path.name))


@dataclass(frozen=True)
class Tfds:
    """A data set of tensorflow-datasets.

    Attributes:
      name: its folder on disk: "glue/sst2".
      text: features that are joined by a space into the text.
      splits: pairs (our split, theirs). Splits that are not listed do not exist (GLUE's test is unlabeled).
      download: the name for ``tfds.load``; by default ``name``.
      needs: a package that this download needs beyond tensorflow-datasets.
      text_b: the feature with the second text of a pair.
    """

    name: str
    text: tuple[str, ...]
    splits: tuple[tuple[str, str], ...]
    download: str | None = None
    needs: str | None = None
    text_b: str | None = None
    reads_data_dir = False

    def _prepared(self) -> Path | None:
        """The folder of the newest version. tensorflow-datasets is not imported."""
        base = tfds_dir() / self.name
        found = [p.parent for depth in ("*", "*/*") for p in base.glob(f"{depth}/dataset_info.json")]
        return max(found, key=_version, default=None)

    def here(self, task: Task, data_dir: str | None) -> str | None:
        path = self._prepared() if packages.installed("tensorflow_datasets") else None
        return f"tensorflow-datasets {self.name}, prepared in {path}" if path else None

    def _can_download(self) -> bool:
        return packages.installed("tensorflow_datasets") and (not self.needs or packages.installed(self.needs))

    def reachable(self, task: Task, data_dir: str | None) -> str | None:
        prepared = self.here(task, data_dir)
        if prepared or not self._can_download():
            return prepared
        return f"tensorflow-datasets {self.name}, downloaded to {tfds_dir()}" if network() else None

    def hint(self, task: Task) -> str:
        name = self.download or self.name
        install = "" if self._can_download() else f"{packages.pip_command('tfds')} {self.needs or ''}".strip()
        # The tfds command does not know data sets of other hubs.
        load = f"python -c \"import tensorflow_datasets as tfds; tfds.load('{name}')\""
        steps = [
            install,
            load if ":" in name else f"tfds build {name}",
            "copy its ~/tensorflow_datasets here",
        ]
        return "on a machine with a network: " + ", ".join(s for s in steps if s)

    def notes(self, task: Task) -> list[str]:
        return []

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        theirs = dict(self.splits).get(split)
        if theirs is None:
            return None
        prepared = self._prepared()
        try:
            import_tensorflow()  # first, as the next line imports TensorFlow too
            import tensorflow_datasets as tfds  # imported late: it takes 4 s, and only this source needs it

            if prepared:  # it needs no network and no code of the data set
                builder = tfds.builder_from_directory(str(prepared))
                data = builder.as_dataset(split=theirs, shuffle_files=False)
            else:
                say(f"downloading {self.name} with tensorflow-datasets to {tfds_dir()}")
                data = tfds.load(self.download or self.name, split=theirs, data_dir=str(tfds_dir()))
            examples = list(tfds.as_numpy(data))
        except Exception as e:  # after any failure in there, the user needs the other ways
            why = " ".join(f"{type(e).__name__}: {e}".split())
            others = "; ".join(s.hint(task) for s in task.sources if s is not self)
            raise UserError(f"tensorflow-datasets {self.name}: {tail(why, 200)}. Other ways: {others}") from e
        return self._rows(task, split, examples, bad)

    def _rows(self, task: Task, split: str, examples: list[dict], bad: BadRows) -> Rows:
        ids, text, text_b, label = [], [], [], []
        for i, example in enumerate(examples):
            a = _text(example, self.text)
            b = _text(example, (self.text_b,)) if self.text_b else ""
            gold = example["label"].item() if isinstance(example["label"], np.generic) else example["label"]
            if str(gold) in task.columns.no_gold:
                bad.leave_out(f"tensorflow-datasets {self.name}, {split}")
                continue
            good = math.isfinite(gold) if task.is_regression else 0 <= gold < len(task.labels)
            if not a or (self.text_b and not b) or not good:
                missing = self.text_b if a else " + ".join(self.text)
                found = f"label {gold}" if not good else f"no text in {missing!r}"
                bad.report(f"tensorflow-datasets {self.name}, {split} example {i}: {found}")
                continue
            # GLUE's idx is the line number, so ids equal those from the files.
            ids.append(f"{split}-{int(example.get('idx', i))}")
            text.append(a)
            text_b.append(b)
            label.append(gold)
        array = np.asarray(label, np.float32 if task.is_regression else np.int32)
        return Rows(ids, text, text_b if self.text_b else None, array)


def _text(example: dict, names: tuple[str, ...]) -> str:
    parts = [example[name].decode("utf-8").strip() for name in names]
    return without_breaks(" ".join(p for p in parts if p)).strip()
