"""Makes a teacher's states of words smaller: a PCA that is fitted once, so that signals of much text fit on a disk.

Mukherjee & Hassan Awadallah 2020 keep every state of 768 numbers. Most of the difference between words lies in a few
dozen directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.artifacts import find_or_make
from kd_keras.common.npz import open_npz
from kd_keras.tasks import Rows
from kd_keras.teachers.tagger import TaggingTeacher

# The axes are fitted to the words of this many texts. More texts do not change them.
_TEXTS = 3000


@dataclass(frozen=True)
class Projection:
    """Attributes:
    mean: float32[width], of a teacher's states.
    axes: float32[width, fewer]. All directions have one scale, so that numbers are about 1.
    kept: share of the variance that is left.
    """

    mean: np.ndarray
    axes: np.ndarray
    kept: float

    @property
    def key(self) -> str:
        """Equal for equal numbers. Another machine may find axes with other signs."""
        return files.hash_of(self.mean.tobytes().hex(), self.axes.tobytes().hex())

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """float[words, width] → float32[words, fewer]."""
        return (states - self.mean) @ self.axes


def fitted(
    teacher: TaggingTeacher, rows: Rows, layer: int, width: int, path: Path, known: Iterable[Path] = ()
) -> Projection:
    """The projection of the states of ``layer`` to ``width`` numbers, found at ``path`` or made.

    Args:
      rows: the rows whose words it is fitted to.
      known: places in other runs.
    """
    some = [rows.text[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(_TEXTS, len(rows))).astype(int)).tolist()]
    key = files.hash_of(teacher.fingerprint(), layer, width, some)
    return find_or_fit("projection of states", path, key, lambda: fit(teacher, some, layer, width), known)


def find_or_fit(
    what: str, path: Path, key: str, make: Callable[[], Projection], known: Iterable[Path] = ()
) -> Projection:
    """The projection of ``key`` at ``path``, or at one of ``known``, or the one that ``make`` gives."""

    def write() -> None:
        made = make()
        with files.atomic_path(path) as temp:
            np.savez(temp, mean=made.mean, axes=made.axes, kept=made.kept, key=key)

    return find_or_make(what, path, lambda place: _read(place, key), write, known, aloud=False)


def fit(teacher: TaggingTeacher, texts: Sequence[str], layer: int, width: int) -> Projection:
    """Fits a projection to the states of all words of ``texts``."""
    return principal(teacher.word_states(teacher.encode_texts(texts), layer), width)


def principal(states: np.ndarray, width: int, whiten: bool = False) -> Projection:
    """Fits a projection by singular value decomposition of the centered states.

    >>> states = np.random.default_rng(0).normal(size=(50, 6)) * [3, 1, 1, 1, 1, 0.1]
    >>> principal(states, 4, whiten=True)(states).std(0).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0]

    Args:
      states: float[n, units].
      width: how many numbers are left, at most ``units``.
      whiten: scale each direction separately, so that all weigh the same (Huang et al. 2021, section 3).
    """
    states = states.astype(np.float64)
    mean = states.mean(0)
    _, sizes, axes = np.linalg.svd(states - mean, full_matrices=False)
    axes = axes[: min(width, len(axes))].T
    told = (states - mean) @ axes
    spread = np.maximum(told.std(0) if whiten else told.std(), 1e-8)
    kept = float((sizes[:width] ** 2).sum() / max((sizes**2).sum(), 1e-12))
    return Projection(mean.astype(np.float32), (axes / spread).astype(np.float32), kept)


def read_projection(path: Path) -> Projection:
    """The projection in a file, without a key. UserError if it is missing or damaged."""
    with open_npz(path) as saved:
        return _of(saved)


def _read(path: Path, key: str) -> Projection | None:
    if not path.is_file():
        return None
    with open_npz(path) as saved:
        return _of(saved) if str(saved["key"]) == key else None


def _of(saved: Mapping[str, np.ndarray]) -> Projection:
    return Projection(saved["mean"], saved["axes"], float(saved["kept"]))
