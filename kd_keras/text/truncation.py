"""Cuts a text that is too long. Its head, its tail, or some of both stay.

Sun et al. 2019, arXiv 1905.05583, section 5.3.1: a long review states its opinion at its two ends. BERT classified IMDB
best on the first 128 and the last 382 of 510 pieces. Here the head is that quarter of every length, rounded up, so it
is exactly theirs at 510.
"""

from __future__ import annotations

from kd_keras.common.errors import UserError

HEAD = "head"
TRUNCATIONS = (HEAD, "tail", "head_tail")


def ends(room: int, how: str) -> tuple[int, int]:
    """How many pieces of a text longer than ``room`` stay at its start, and how many at its end.

    >>> ends(510, "head_tail")
    (128, 382)
    """
    if how not in TRUNCATIONS:
        raise UserError(f"truncation {how!r}: expected one of {', '.join(TRUNCATIONS)}")
    first = {HEAD: room, "tail": 0, "head_tail": -(-room // 4)}[how]
    return first, room - first


def cut(pieces: list, room: int, how: str = HEAD) -> list:
    """``pieces`` if they are at most ``room``, else the ones that stay.

    Two cuts, first to a longer and then to a shorter room, equal one cut.
    """
    if len(pieces) <= room:
        return pieces
    first, last = ends(room, how)
    return pieces[:first] + pieces[len(pieces) - last :]


def of_longer(length: int, how: str) -> str:
    """Words for reports after "at most 64 tokens": what stays of longer texts. Nothing for the head."""
    if how == HEAD:
        return ""
    first, last = ends(length, how)
    return ", of longer ones the " + (f"first {first} and the last {last}" if first else f"last {last}")


def check_truncation(flag: str, how: str, task: str, pair: bool) -> None:
    """Raises UserError if ``how`` does not work for the task's texts."""
    if pair and how != HEAD:
        raise UserError(f"--{flag}={how}: task {task} reads pairs, whose texts are cut at their ends; expected {HEAD}")
