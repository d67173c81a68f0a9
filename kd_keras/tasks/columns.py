"""Where a file keeps a task's text and labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Columns:
    """Where a file keeps a task's text and labels.

    Attributes:
      text: columns whose values, joined by a space, are the text (AG News: title, description).
      text_b: column of the second text of a pair.
      label: column of the gold label.
      headerless: the official order of columns, if the official file has no header line.
      label_base: official files write labels as numbers from this one on; None: only as names.
      no_gold: the value of the label column if the annotators did not agree (SNLI: "-"). Such rows are left out and
        counted.
      labels: with several labels a text, the columns of 0 and 1, one for each label. Without them ``label`` has all
        labels.
      separator: the text between labels in ``label``, if a text has any number of labels. A JSON list does not need it.
        None: a text has one label.
    """

    text: tuple[str, ...] = ("text",)
    text_b: str | None = None
    label: str = "label"
    headerless: tuple[str, ...] | None = None
    label_base: int | None = None
    no_gold: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    separator: str | None = None

    def needed(self) -> tuple[str, ...]:
        return (*self.text, *([self.text_b] if self.text_b else []), *self.gold())

    def pair(self) -> list[str]:
        """The columns of the text, and of the second one. Empty if there is none."""
        return [*self.text, self.text_b] if self.text_b else []

    def gold(self) -> tuple[str, ...]:
        """The columns with the gold label."""
        return self.labels or (self.label,)

    @property
    def many_labels(self) -> bool:
        """Whether a text may have any number of labels."""
        return bool(self.labels) or self.separator is not None

    def to_json(self) -> dict[str, Any]:
        """The fields without newer ones that are not used, so that task.json and keys do not change."""
        later = (("labels", ()), ("separator", None))
        return {name: value for name, value in asdict(self).items() if (name, value) not in later}
