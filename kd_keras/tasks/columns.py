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
      headerless: the official order of columns where the official file has no header line.
      label_base: official files write labels as numbers from here on; None: as names only.
      no_gold: what the label column holds where the annotators did not agree: such rows are left out
        and counted, as is the custom with SNLI ("-").
      labels: of several labels a text, the columns of 0 and 1, one a label; without them ``label`` has them all.
      separator: what stands between labels in ``label``, of which a text has any number (a JSON list has no need of
        it); None: it has one.
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

    def gold(self) -> tuple[str, ...]:
        """The columns that hold the gold label."""
        return self.labels or (self.label,)

    @property
    def many_labels(self) -> bool:
        """Whether a text has any number of labels."""
        return bool(self.labels) or self.separator is not None

    def to_json(self) -> dict[str, Any]:
        """Without what came later and is not used: task.json and keys stay what they were."""
        later = (("labels", ()), ("separator", None))
        return {name: value for name, value in asdict(self).items() if (name, value) not in later}
