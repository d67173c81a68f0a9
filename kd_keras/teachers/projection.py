"""A teacher's states of words in fewer numbers: a PCA that is fitted once, so that signals of much text fit on a disk.

Mukherjee & Hassan Awadallah 2020 keep every state of 768 numbers; most of what differs between words lies in a few
dozen directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.artifacts import find_or_make
from kd_keras.common.npz import open_npz
from kd_keras.tasks import Rows
from kd_keras.teachers.tagger import TaggingTeacher

# Texts whose words the axes are found by; more do not move them.
_TEXTS = 3000


@dataclass(frozen=True)
class Projection:
    """Attributes:
    mean: float32[width], of a teacher's states.
    axes: float32[width, fewer]; all directions are scaled alike, so that numbers are about 1.
    kept: share of the variance that is left.
    """

    mean: np.ndarray
    axes: np.ndarray
    kept: float

    @property
    def key(self) -> str:
        """Equal for equal numbers: axes that another machine has found may have other signs."""
        return files.hash_of(self.mean.tobytes().hex(), self.axes.tobytes().hex())

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """float[words, width] → float32[words, fewer]."""
        return (states - self.mean) @ self.axes


def fitted(
    teacher: TaggingTeacher, rows: Rows, layer: int, width: int, path: Path, known: Iterable[Path] = ()
) -> Projection:
    """The projection of the states of ``layer`` to ``width`` numbers, found at ``path`` or made.

    Args:
      rows: whose words it is fitted to.
      known: places of other runs.
    """
    some = [rows.text[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(_TEXTS, len(rows))).astype(int)).tolist()]
    key = files.hash_of(teacher.fingerprint(), layer, width, some)

    def make() -> None:
        made = fit(teacher, some, layer, width)
        with files.atomic_path(path) as temp:
            np.savez(temp, mean=made.mean, axes=made.axes, kept=made.kept, key=key)

    return find_or_make("projection of states", path, lambda place: _read(place, key), make, known, aloud=False)


def fit(teacher: TaggingTeacher, texts: Sequence[str], layer: int, width: int) -> Projection:
    """By the singular value decomposition of the centred states of all words of ``texts``."""
    states = teacher.word_states(teacher.encode_texts(texts), layer).astype(np.float64)
    mean = states.mean(0)
    _, sizes, axes = np.linalg.svd(states - mean, full_matrices=False)
    axes = axes[: min(width, len(axes))].T
    spread = max(float(((states - mean) @ axes).std()), 1e-8)
    kept = float((sizes[:width] ** 2).sum() / max((sizes**2).sum(), 1e-12))
    return Projection(mean.astype(np.float32), (axes / spread).astype(np.float32), kept)


def _read(path: Path, key: str) -> Projection | None:
    if not path.is_file():
        return None
    with open_npz(path) as saved:
        if str(saved["key"]) != key:
            return None
        return Projection(saved["mean"], saved["axes"], float(saved["kept"]))
