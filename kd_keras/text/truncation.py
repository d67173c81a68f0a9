"""What stays of a text that is too long: its head, its tail, or some of both.

Sun et al. 2019, arXiv 1905.05583, section 5.3.1: a long review says what it thinks at its two ends, and BERT classified
IMDB best on the first 128 and the last 382 of 510 pieces. That quarter, rounded up, is the head of every length here:
exactly theirs at 510.
"""

from __future__ import annotations

from kd_keras.common.errors import UserError

HEAD = "head"
TRUNCATIONS = (HEAD, "tail", "head_tail")


def ends(room: int, how: str) -> tuple[int, int]:
    """How many pieces of a text longer than ``room`` stay from its start, and how many from its end.

    >>> ends(510, "head_tail")
    (128, 382)
    """
    if how not in TRUNCATIONS:
        raise UserError(f"truncation {how!r}: expected one of {', '.join(TRUNCATIONS)}")
    first = {HEAD: room, "tail": 0, "head_tail": -(-room // 4)}[how]
    return first, room - first


def cut(pieces: list, room: int, how: str = HEAD) -> list:
    """``pieces`` if there are ``room`` of them or fewer, else what stays.

    Cutting twice, first to a longer and then to a shorter room, is the same as cutting once.
    """
    if len(pieces) <= room:
        return pieces
    first, last = ends(room, how)
    return pieces[:first] + pieces[len(pieces) - last :]


def of_longer(length: int, how: str) -> str:
    """For reports, behind "at most 64 tokens": what stays of longer texts; of the head nothing is said."""
    if how == HEAD:
        return ""
    first, last = ends(length, how)
    return ", of longer ones the " + (f"first {first} and the last {last}" if first else f"last {last}")


def check_truncation(flag: str, how: str, task: str, pair: bool) -> None:
    """UserError where ``how`` is not for the task's texts."""
    if pair and how != HEAD:
        raise UserError(
            f"--{flag}={how}: task {task} reads pairs, whose two texts are cut at their ends; expected {HEAD}"
        )
