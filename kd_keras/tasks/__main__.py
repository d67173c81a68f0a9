"""Lists the tasks, or shows a task's examples, labels and lengths.

python -m kd_keras.tasks
python -m kd_keras.tasks --task=sst2 --data_dir=DIR
"""

from __future__ import annotations

import numpy as np
from absl import flags

from kd_keras.common import cli
from kd_keras.common.config import define_flags, from_flags
from kd_keras.common.files import tail
from kd_keras.tasks import TaskSettings, get, load_data, load_test, names, resolve
from kd_keras.tasks.balance import label_counts
from kd_keras.tasks.describe_tagging import describe_tags
from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows

define_flags(TaskSettings)


def overview() -> str:
    """Some lines for each task. It looks at the disk only, never at the network."""
    lines = []
    for name in names():
        task = get(name)
        here = [found for source in task.sources if (found := source.here(task, None))]
        lines += [
            f"{name}: {task.description}",
            f"    {_kind(task)}",
            f"    here now: {'; '.join(here) or 'nothing'}",
        ]
        lines += [f"    or: {s.hint(task)}" for s in task.sources if not s.here(task, None)]
    lines += [
        "custom: your own files",
        "    --task=custom --train_file=FILE [--dev_file=FILE] [--text_b_column=NAME] [--regression] [--multilabel]",
        "    --task=custom --tagging --train_file=FILE: columns of words and tags, or .jsonl with tokens or spans",
    ]
    return "\n".join(lines)


def _kind(task: Task) -> str:
    """A task's input, its output, and the metric that selects."""
    if task.is_tagging:
        return f"tagging, selected by {task.metric}, {len(task.types)} types of entities: {', '.join(task.types)}"
    if task.is_regression:
        return f"regression of {'pairs' if task.is_pair else 'single texts'}, selected by {task.metric}, a number"
    if task.is_multilabel:
        what = f"any of {len(task.labels)} labels for {'a pair' if task.is_pair else 'a text'}"
        return f"{what}, selected by {task.metric}: {', '.join(task.labels)}"
    return f"{task.kind}, selected by {task.metric}, {len(task.labels)} labels: {', '.join(task.labels)}"


def _gold(task: Task, rows: Rows) -> str:
    """The count of each label, or the spread of a regression's scores."""
    if task.is_regression:
        spread = np.percentile(rows.label, (0, 10, 50, 90, 100), method="inverted_cdf")
        low, p10, p50, p90, high = (f"{s:g}" for s in spread)
        return f"scores: {low} to {high}; 10% have {p10} or less, 50% {p50}, 90% {p90}"
    counts = label_counts(rows, len(task.labels))
    each = f" (a text has {rows.label.sum(1).mean():.2f})" if task.is_multilabel else ""
    return f"labels{each}: " + ", ".join(f"{n} {c:,}" for n, c in zip(task.labels, counts, strict=True))


def _example(task: Task, rows: Rows, i: int) -> str:
    if task.is_multilabel:
        gold = ", ".join(task.labels[n] for n in np.flatnonzero(rows.label[i] > 0))
    else:
        gold = f"{rows.label[i]:g}" if task.is_regression else task.labels[rows.label[i]]
    text = " ".join(rows.text[i].split())
    if rows.text_b is None:
        return f"    {rows.ids[i]} [{gold}] {tail(text, 90)}"
    return f"    {rows.ids[i]} [{gold}] {tail(text, 60)} ||| {tail(' '.join(rows.text_b[i].split()), 60)}"


def describe(task: Task, split: str, rows: Rows, examples: int = 3) -> str:
    """A split's size, label counts, length percentiles in words (both texts of a pair), and some rows."""
    if task.is_tagging:
        return describe_tags(task, split, rows, examples)
    words = np.array([len(t.split()) for t in rows.text])
    if rows.text_b is not None:
        words = words + np.array([len(t.split()) for t in rows.text_b])
    p50, p90, p99 = (int(np.percentile(words, p, method="inverted_cdf")) for p in (50, 90, 99))
    lines = [
        f"{split}: {len(rows):,} rows",
        f"    {_gold(task, rows)}",
        f"    words: 50% have {p50} or fewer, 90% {p90}, 99% {p99}, the longest {words.max()}",
    ]
    for i in np.linspace(0, len(rows) - 1, num=min(examples, len(rows)), dtype=int):
        lines.append(_example(task, rows, i))
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    settings = from_flags(TaskSettings)
    asked = [name for name in TaskSettings.__dataclass_fields__ if flags.FLAGS[name].present]
    if set(asked) <= {"task_module"}:
        resolve(settings)  # imports the task module
        print(overview())
        return
    task = resolve(settings)
    data = load_data(settings, task)
    test = load_test(task, settings.data_dir, settings.on_bad_row)
    print(f"{task.name}: {task.description}\nsource: {data.source}")
    for note in data.notes:
        print(f"note: {note}")
    if data.rest is not None:
        print(f"rest: {len(data.rest):,} training rows whose labels are not read")
    for split, rows in (("train", data.train), ("dev", data.dev), *data.extra.items(), ("test", test)):
        print(describe(task, split, rows) if rows is not None else f"{split}: none with labels")


if __name__ == "__main__":
    cli.run(main)
