"""``--teacher_seeds``: several fine-tuned teachers whose mean logits teach one student.

Each teacher and its signals are kept separately, under the numbered names of ``common.layout``, from 1 on. A teacher
that exists, in this run or another, is not trained or asked again. The mean is taken when the signals are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.ragged import Ragged
from kd_keras.metrics import mean_and_spread, score
from kd_keras.teachers.checkpoints import Checkpoint, from_folder
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import Signals


def teacher_settings(settings: TeacherSettings, number: int) -> TeacherSettings:
    """The settings of teacher ``number``: the first has ``teacher_seed``, the second the next seed, …"""
    return replace(settings, teacher_seed=settings.teacher_seed + number - 1, teacher_seeds=1)


def label_settings(settings: LabelSettings, number: int) -> LabelSettings:
    """Only the first teacher has hidden states: two teachers have no axes in common, so their mean is useless."""
    return settings if number == 1 else replace(settings, hidden="none")


def checkpoints(checkpoint: Checkpoint, task: str, data: str, count: int) -> list[Checkpoint]:
    """The checkpoint of each teacher: ``checkpoint`` for all, or each its own in a finished ensemble (RUN/teacher).

    Args:
      checkpoint: the one that ``--teacher`` names.
      task, data: name of the task, fingerprint of the data.
      count: how many teachers.

    Raises:
      UserError: ``checkpoint`` is finished, but the others are not beside it.
    """
    if count == 1 or not checkpoint.fine_tuned_for(task, data):
        return [checkpoint] * count
    found, layout = [checkpoint], RunLayout(checkpoint.path.parent)
    for number in range(2, count + 1):
        path = layout.teacher_of(number)
        other = from_folder(str(path), path) if path.is_dir() and checkpoint.path.name == layout.teacher.name else None
        if other is None or not other.fine_tuned_for(task, data):
            raise UserError(
                f"--teacher_seeds={count}: --teacher={checkpoint.name} is already fine-tuned, and {path} for another "
                "seed does not exist; name the checkpoint that it was made from (finished teachers are found again)"
            )
        found.append(other)
    return found


def mean(signals: Sequence[Signals]) -> Signals:
    """The mean of all teachers' logits, with the first one's hidden states. One teacher's signals do not change."""
    if len(signals) == 1:
        return signals[0]
    if len({s.manifest["data"] for s in signals}) != 1:
        raise ValueError("signals of different data cannot be averaged")
    each = [s.logits.flat() if isinstance(s.logits, Ragged) else s.logits for s in signals]
    logits = np.mean(each, axis=0, dtype=np.float64).astype(np.float32)
    first = signals[0].logits
    return Signals(
        Ragged.cut(logits, first.lengths) if isinstance(first, Ragged) else logits,
        signals[0].hidden,
        signals[0].manifest | {"teacher": [s.manifest["teacher"] for s in signals]},
    )


def scores(
    metrics: Sequence[str],
    label: Mapping[str, np.ndarray],
    logits: Sequence[Mapping[str, np.ndarray]],
    seeds: list[int],
) -> dict[str, dict]:
    """The scores of each teacher.

    Args:
      metrics: names.
      label: split → gold labels.
      logits: for each teacher, split → float32[rows, labels].
      seeds: of each teacher.

    Returns:
      {"per_seed": split → [{"seed", metric: value}], "mean" and "spread" (standard deviation): split → metric → value}.
    """
    out: dict[str, dict] = {"per_seed": {}, "mean": {}, "spread": {}}
    for split, gold in label.items():
        each = [score(metrics, gold, own[split]) for own in logits]
        out["per_seed"][split] = [{"seed": s, **e} for s, e in zip(seeds, each, strict=True)]
        pairs = {m: mean_and_spread([e[m] for e in each]) for m in metrics}
        out["mean"][split] = {m: mean for m, (mean, _) in pairs.items()}
        out["spread"][split] = {m: spread for m, (_, spread) in pairs.items()}
    return out


def in_words(metric: str, alone: dict[str, dict], together: float) -> str:
    """For reports: the dev scores of :func:`scores`, and the ensemble's."""
    each = ", ".join(f"{100 * e[metric]:.2f} (seed {e['seed']})" for e in alone["per_seed"]["dev"])
    average, spread = (100 * alone[k]["dev"][metric] for k in ("mean", "spread"))
    return (
        f"teachers: the student learns the mean of their logits; dev {metric} {each}, on average {average:.2f} ± "
        f"{spread:.2f}, together {100 * together:.2f}; embeddings and hidden states are the first teacher's"
    )
