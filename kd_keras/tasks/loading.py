"""Loads a task's rows: chooses the source, and draws a dev split if there is none."""

from __future__ import annotations

from dataclasses import replace

from kd_keras.common.errors import UserError
from kd_keras.common.places import local
from kd_keras.common.progress import say
from kd_keras.tasks.balance import balanced, check_metric, check_weights, lacking, metric_for
from kd_keras.tasks.carve import carve
from kd_keras.tasks.few_labels import check_few_labels, few_labels
from kd_keras.tasks.records import Source, Task, TaskData
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.scale import scaled
from kd_keras.tasks.tables import SKIP_HINT, BadRows


def choose(task: Task, data_dir: str | None = None) -> tuple[Source, str]:
    """The source that is used for ``task``, and a sentence that says so.

    If ``data_dir`` is given, nothing else is tried. Without a network this takes at most 3 s.

    Raises:
      UserError: no source works. The error names each way that would work.
    """
    if data_dir is not None:
        for source in task.sources:
            if source.reads_data_dir:
                return source, source.here(task, data_dir)
        raise UserError(f"--data_dir={data_dir}: task {task.name} does not read a folder")
    for source in task.sources:
        found = source.reachable(task, None)
        if found:
            return source, found
    if not task.sources:
        raise UserError(f"task {task.name} has no source of data: name its files")
    ways = "; or ".join(source.hint(task) for source in task.sources)
    raise UserError(f"task {task.name}: found no data here and no network to fetch it. What would work: {ways}")


def load(
    task: Task,
    data_dir: str | None = None,
    on_bad_row: str = "stop",
    labels_per_class: int | None = None,
    labels_seed: int = 1,
    metric: str | None = None,
    class_weights: str = "none",
) -> TaskData:
    """Train, dev and extra splits of a task. Official splits are kept; a missing dev is drawn from train.

    Args:
      data_dir: a folder with the data set in its official layout.
      on_bad_row: "stop" raises UserError at the first bad row, "skip" counts and lists them in the notes.
      labels_per_class: keep the labels of only this many training rows of each class; see :func:`few_labels`.
      labels_seed: draws these rows.
      metric: the metric that selects weights; see :func:`kd_keras.tasks.balance.metric_for`.
      class_weights: see :func:`kd_keras.tasks.balance.balanced`.
    """
    check_few_labels(task, labels_per_class)
    check_weights(task, class_weights)
    check_metric(task, metric)
    data_dir = data_dir and local(data_dir, "--data_dir")
    source, sentence = choose(task, data_dir)
    bad = BadRows(on_bad_row, SKIP_HINT)
    train = source.load(task, "train", data_dir, bad)
    dev = source.load(task, "dev", data_dir, bad)
    extra = {split: source.load(task, split, data_dir, bad) for split in task.extra_splits}
    notes = source.notes(task)
    if dev is None:
        train, dev = carve(train, task.dev_fraction, task.name)
        share = len(dev) / (len(train) + len(dev))
        many = (
            "" if share < 1.5 * task.dev_fraction else ", so that each label has a text; --dev_file=FILE may have fewer"
        )
        notes.append(f"dev: {share:.0%} of train, drawn with a fixed seed{many}")
    notes += [f"{split}: not in this source" for split, rows in extra.items() if rows is None]
    there = {split: rows for split, rows in extra.items() if rows is not None}
    data = TaskData(task, train, dev, sentence, notes + bad.notes(), there)
    if labels_per_class is not None:
        data = few_labels(data, labels_per_class, labels_seed)
    task, by_metric = metric_for(task, data.train, metric)
    task, by_weight = balanced(task, data.train, class_weights)
    task = scaled(task, data.train)
    return replace(data, task=task, notes=[*lacking(data), *by_metric, *by_weight, *data.notes])


def load_test(
    task: Task, data_dir: str | None = None, on_bad_row: str = "stop", notes: list[str] | None = None
) -> Rows | None:
    """The test split if the task has one with gold labels, else None. Training code never calls this.

    What was left out of it is added to ``notes``, or said if there are none.
    """
    data_dir = data_dir and local(data_dir, "--data_dir")
    bad = BadRows(on_bad_row, SKIP_HINT)
    rows = choose(task, data_dir)[0].load(task, "test", data_dir, bad)
    for note in bad.notes():
        (say if notes is None else notes.append)(f"test: {note}")
    return rows
