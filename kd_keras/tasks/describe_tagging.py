"""Describes a split of a tagging task: sizes, entities by type and by language, lengths, examples."""

from __future__ import annotations

import numpy as np

from kd_keras.common.files import tail
from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows, has_label, words_of
from kd_keras.tasks.tagged import entity_counts


def describe_tags(task: Task, split: str, rows: Rows, examples: int = 3) -> str:
    """One line for each language, even if there are 47."""
    sizes = np.array([len(words_of(text)) for text in rows.text])
    counts = entity_counts(rows.label, len(task.types))
    per = ", ".join(f"{name} {count:,}" for name, count in zip(task.types, counts, strict=True))
    p50, p90, p99 = (int(np.percentile(sizes, p, method="inverted_cdf")) for p in (50, 90, 99))
    bare = len(rows) - int(has_label(rows).sum())
    lines = [
        f"{split}: {len(rows):,} sentences, {sizes.sum():,} words" + (f", {bare:,} without tags" if bare else ""),
        f"    entities: {per}",
        f"    words: 50% have {p50} or fewer, 90% {p90}, 99% {p99}, the longest {sizes.max()}",
    ]
    if rows.group is not None and len(set(rows.group)) > 1:
        lines += by_language(task, rows)
    for i in np.linspace(0, len(rows) - 1, num=min(examples, len(rows)), dtype=int):
        lines.append(f"    {rows.ids[i]} {tail(marked(task, rows, i), 90)}")
    return "\n".join(lines)


def by_language(task: Task, rows: Rows) -> list[str]:
    """A table: language, sentences, entities of each type."""
    group = np.array(rows.group)
    names = [tail(name, 9) for name in task.types[:6]]
    lines = ["    language sentences" + "".join(f" {name:>9}" for name in names)]
    for language in sorted(set(group.tolist())):
        where = np.flatnonzero(group == language)
        counts = entity_counts(rows.label.take(where), len(task.types))[:6]
        lines.append(f"    {language:<8} {len(where):>9,}" + "".join(f" {count:>9,}" for count in counts))
    return lines


def marked(task: Task, rows: Rows, i: int) -> str:
    """A row's words, each entity in brackets with its type: "[Angela Merkel PER] is in [Paris LOC]"."""
    out: list[str] = []
    open_type = ""
    tags = rows.label[i]
    for n, word in enumerate(words_of(rows.text[i])):
        tag = int(tags[n]) if len(tags) else 0
        if open_type and (tag == 0 or tag % 2 == 1):
            out[-1] += f" {open_type}]"
            open_type = ""
        if tag % 2 == 1:
            open_type, word = task.types[(tag - 1) // 2], f"[{word}"
        out.append(word)
    return " ".join(out) + (f" {open_type}]" if open_type else "")
