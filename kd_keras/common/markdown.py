"""Tables that are Markdown and also read well as plain text."""

from __future__ import annotations


def markdown_table(head: list[str], lines: list[list[str]]) -> str:
    """Aligned columns, the first to the left and numbers to the right."""
    widths = [max(len(r[i]) for r in [head, *lines]) for i in range(len(head))]
    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    rows = [head, rule, *lines]
    return "\n".join(
        "| "
        + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        + " |"
        for r in rows
    )
