"""Tables that are Markdown and also read well as plain text."""

from __future__ import annotations

import unicodedata


def width(text: str) -> int:
    """Columns that a text takes on a terminal. Emoji and Chinese, Japanese and Korean letters take two; combining marks
    take none.

    Example:
      >>> width("abc"), width("退款")
      (3, 4)
    """
    return sum(
        0 if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
        else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )  # fmt: skip


def markdown_table(head: list[str], lines: list[list[str]]) -> str:
    """Aligned columns, the first to the left and numbers to the right."""
    widths = [max(2, *(width(r[i]) for r in [head, *lines])) for i in range(len(head))]  # a rule of ":" is none
    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]

    def line(cells: list[str]) -> str:
        spaces = [" " * (w - width(c)) for c, w in zip(cells, widths, strict=True)]
        return (
            "| "
            + " | ".join(c + s if i == 0 else s + c for i, (c, s) in enumerate(zip(cells, spaces, strict=True)))
            + " |"
        )

    return "\n".join(map(line, [head, rule, *lines]))
