"""What the teachers of a run say: each is fine-tuned or found, then asked about every text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kd_keras.common.artifacts import one_at_a_time
from kd_keras.common.config import AUTO
from kd_keras.common.errors import UserError
from kd_keras.common.folders import folder_at
from kd_keras.common.layout import RunLayout, signals_in
from kd_keras.common.progress import say
from kd_keras.common.team import is_chief
from kd_keras.distill.settings import RecipeSettings
from kd_keras.metrics import score
from kd_keras.metrics.answers import sureness
from kd_keras.metrics.spread import standard_error
from kd_keras.runs import rounds
from kd_keras.runs.given import about_given, answered, given_signals
from kd_keras.runs.job import Run
from kd_keras.runs.references import References, probe_of
from kd_keras.runs.teacher_check import check_teacher
from kd_keras.tasks import Rows, Task, has_label
from kd_keras.teachers import ensemble
from kd_keras.teachers.checkpoints import from_folder
from kd_keras.teachers.settings import WORD, TeacherSettings
from kd_keras.teachers.signals import Signals, SignalStore

# If the teacher's epochs are for us to choose, its second round learns at most this many texts without labels.
_SOFT_TEXTS = 20_000

# A run with given signals has no teacher and may lack its packages. They are imported when a teacher is needed.
if TYPE_CHECKING:
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.tagger import TaggingTeacher
    from kd_keras.teachers.targets import SoftText


@dataclass(frozen=True)
class Taught:
    """Attributes:
    first: the first teacher. If signals are given, the encoder that lends the student its pieces, or None.
    signals: split, or name of a transfer set → what to learn from; the mean if there are several teachers.
    each: the logits of each teacher, for every split.
    about: what reports say of it.
    notes: what was found about it.
    rounds: the logits of each round, for every split, if there are several.
    """

    first: Teacher | None
    signals: Mapping[str, Signals]
    each: Sequence[Mapping[str, np.ndarray]]
    about: dict
    notes: list[str]
    rounds: Sequence[Mapping[str, np.ndarray]] = ()


def taught(run: Run, sets: Mapping[str, Rows], to_beat: References) -> Taught:
    """Every teacher of the run, and its signals for each split and for the rows of ``sets``.

    Raises:
      UserError: the teacher is worse than the linear model on dev.
    """
    if run.job.given is not None:
        return _given(run, sets, to_beat)
    # Dev comes first, so that a bad teacher is noticed before the long work.
    rows = {"dev": run.splits["dev"], **run.splits, **sets}
    if run.job.teacher.teacher_rounds == 1:
        return _round(run, run.layout, rows, to_beat)
    first = _round(run, run.layout.round(1), rows, to_beat)
    most = _SOFT_TEXTS if run.job.teacher.teacher_epochs == AUTO else None
    soft = rounds.soft_text(run.job.data.train, sets, first.signals, most)
    with run.timings.step("linear models"):
        soft = rounds.beside(soft, probe_of(run, run.task.rows(soft.texts, soft.texts_b)))
    say(f"teacher, round 2: learns the labels, and what round 1 says of {len(soft.texts):,} texts without one")
    second = _round(run, run.layout.round(2), rows, to_beat, soft)
    return _better(run, first, second)


def _better(run: Run, *each: Taught) -> Taught:
    """The last round, unless its dev score is under the best one by more than that one's standard error. The run
    folder gets its teachers and signals."""
    metric, dev = run.task.metric, run.job.data.dev
    labeled = has_label(dev)
    gold, logits = dev.label[labeled], [one.signals["dev"].logits[labeled] for one in each]
    found = [score([metric], gold, some)[metric] for some in logits]
    best = max(range(len(each)), key=lambda n: (found[n], n))
    near = found[-1] >= found[best] - standard_error(metric, gold, logits[best])
    number = len(each) if near else best + 1
    kept = each[number - 1]
    rounds.adopt(run.layout.round(number), run.layout, kept.signals)
    said = ", ".join(f"round {n} {100 * one:.2f}" for n, one in enumerate(found, 1))
    note = f"teachers by rounds: dev {metric} {said}; the student learns from round {number}"
    logits = [{split: one.signals[split].logits for split in run.splits} for one in each]
    return replace(kept, about=kept.about | {"round": number}, notes=[*kept.notes, note], rounds=logits)


def _round(
    run: Run, layout: RunLayout, rows: Mapping[str, Rows], to_beat: References, soft: SoftText | None = None
) -> Taught:
    """Its teachers and their signals, in ``layout``; ``soft`` is what the teacher of a second round learns too."""
    first, made, notes, projected = None, [], [], []
    settings = run.job.teacher if soft is None else replace(run.job.teacher, teacher_seeds=1)
    for number in range(1, settings.teacher_seeds + 1):
        teacher = _teacher(run, layout, settings, number, to_beat, soft)
        if number == 1 and run.job.label.hidden == WORD:
            projected = _projected(run, teacher)
        signals: dict[str, Signals] = {}
        with run.timings.step(_step("signals", number, soft)):
            for split, some in rows.items():
                signals[split] = _signals(run, layout, teacher, split, some, number)
                if split == "dev" and number == 1 and soft is None:  # a second round need not be better
                    notes = _about_teacher(run, signals["dev"], to_beat)
        made.append(signals)
        first = first or teacher
    signals = {name: ensemble.mean([own[name] for own in made]) for name in made[0]}
    each = [{split: own[split].logits for split in run.splits} for own in made]
    seeds = [_seed_of(layout.teacher_of(n)) for n in range(1, len(each) + 1)]
    about = first.about() | ({"seeds": seeds} if len(seeds) > 1 else {"seed": seeds[0]})
    return Taught(first, signals, each, about, [*_about_several(run, signals, each, about), *notes, *projected])


def _step(name: str, number: int, soft: SoftText | None) -> str:
    return name + (f" {number}" if number > 1 else "") + (", round 2" if soft is not None else "")


def _given(run: Run, sets: Mapping[str, Rows], to_beat: References) -> Taught:
    """What the given files say in place of a teacher."""
    signals, job, first = given_signals(run, sets), run.job, None
    about, notes = about_given(run, signals)
    dev = answered(signals["dev"].logits)
    if dev.any():
        notes += _about_teacher(run, signals["dev"], to_beat, dev)
    if job.lends:
        from kd_keras.teachers.sentences import SentenceTeacher

        first = SentenceTeacher.of(job.checkpoint, min(job.task.max_length, job.checkpoint.positions), job.label)
        what = "pieces and first embeddings" if job.student.embeddings == "teacher" else "pieces"
        notes.append(f"student's {what}: those of {first.name} before fine-tuning, because a given teacher has none")
    return Taught(first, signals, [{split: signals[split].logits for split in run.splits}], about, notes)


def _projected(run: Run, teacher: TaggingTeacher) -> list[str]:
    """Gives the teacher the axes on which its states are projected. Returns a note on them."""
    from kd_keras.teachers.labelling import layer_of
    from kd_keras.teachers.projection import fitted

    label, known = run.job.label, [s.projection for s in run.siblings]
    if given := run.job.job.signals:  # the given signals use these axes
        name = run.layout.projection.name
        known.insert(0, folder_at(given, "--signals").here({}, [name]).path / name)
    layer = layer_of(teacher, label)
    with run.timings.step("projection of states"):
        found = fitted(teacher, run.job.data.train, layer, label.hidden_width, run.layout.projection, known)
    teacher.projection = found
    return [
        f"teacher's states: of layer {layer}, as {found.axes.shape[1]} numbers, which have {found.kept:.1%} of their "
        "variance (PCA)"
    ]


def _about_teacher(run: Run, dev: Signals, to_beat: References, rows: np.ndarray | slice = slice(None)) -> list[str]:
    """Notes on the ``rows`` of dev that it answered. UserError if it is worse than the linear model."""
    if run.task.is_tagging:
        return []
    floor, given = to_beat.logits.get("linear", {}).get("dev"), run.job.given is not None
    floor = None if floor is None else floor[rows]
    label, allowed = run.job.data.dev.label[rows], run.job.job.allow_weak_teacher
    return check_teacher(run.task, label, dev.logits[rows], floor, allowed, given)


def _teacher(
    run: Run, layout: RunLayout, given: TeacherSettings, number: int, to_beat: References, soft: SoftText | None
) -> Teacher:
    from kd_keras.pipelines.labelling import on_cluster
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.tagger import opened

    job = run.job
    with run.timings.step(_step("teacher", number, soft)):
        count = given.teacher_seeds
        checkpoint = ensemble.checkpoints(job.checkpoint, job.task.name, job.data.fingerprint, count)[number - 1]
        known = [t for s in run.siblings for part in s.with_rounds() for t in part.every_teacher()]
        settings, folder = ensemble.teacher_settings(given, number), layout.teacher_of(number)
        teacher = fine_tune(checkpoint, job.data, settings, folder, known, to_beat.start, soft)
    teacher.crew = on_cluster(job.cluster, partial(opened, str(folder.resolve())))
    return teacher


def _seed_of(teacher: Path) -> int | None:
    """The seed of a teacher, also of one that was given. None if nothing was fine-tuned."""
    key = from_folder(str(teacher), teacher).manifest()["key"]
    return key["teacher_seed"] if key["teacher_epochs"] else None


def _about_several(
    run: Run, signals: Mapping[str, Signals], each: Sequence[Mapping[str, np.ndarray]], about: dict
) -> list[str]:
    if "seeds" not in about:
        return []
    metric, gold = run.task.metric, run.job.data.dev.label
    alone = ensemble.scores([metric], {"dev": gold}, each, about["seeds"])
    return [ensemble.in_words(metric, alone, score([metric], gold, signals["dev"].logits)[metric])]


def about_confidence(
    settings: RecipeSettings, recipes: Sequence[str], task: Task, logits: Iterable[np.ndarray]
) -> list[str]:
    """How many rows the hard labels teach, from ``logits`` float[rows, classes] each. Empty without ``--confidence``.

    Raises:
      UserError: no row is that sure.
    """
    least = settings.confidence
    if not least or "hard" not in recipes:
        return []
    if not task.is_tagging:
        logits = (some[answered(some)] for some in logits)
    surest, what = np.concatenate([sureness(task, some) for some in logits]), "words" if task.is_tagging else "rows"
    count = int(np.sum(surest >= least))
    if not count:
        raise UserError(
            f"--confidence={least:g}: no row qualifies: the teacher's highest probability on {len(surest):,} {what} is "
            f"{surest.max():.4f}; use a lower value"
        )
    return [f"hard labels: {count:,} of {len(surest):,} {what} have a label with a probability of at least {least:g}"]


def _signals(run: Run, layout: RunLayout, teacher: Teacher, split: str, rows: Rows, number: int) -> Signals:
    from kd_keras.teachers.labelling import label, manifest

    settings = ensemble.label_settings(run.job.label, number)
    known = [place for s in run.siblings for part in s.with_rounds() for place in part.every_signals(split)]
    folder = layout.signals(split, number)
    lent = run.job.job.signals and signals_in(folder_at(run.job.job.signals, "--signals"), split, number)
    # Only the chief looks for signals that exist. They must match, or the error says what differs.
    if lent and is_chief() and not folder.exists() and lent.exists():
        store = SignalStore(lent).here()
        store.verify(manifest(teacher, run.task.name, rows, settings))
        known = [store.folder]
    title = split if number == 1 else f"{split}, teacher {number}"
    with one_at_a_time(f"signals ({title})", folder):
        return label(teacher, rows, folder, settings, run.task.name, title, known)
