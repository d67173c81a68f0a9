"""How long a benchmark takes."""

from __future__ import annotations

from collections.abc import Sequence

from kd_keras.timing.settings import BenchmarkSettings
from kd_keras.timing.turns import WARM_UP


def expected(settings: BenchmarkSettings, text_ms: Sequence[float], lengths: int, batches: int) -> float:
    """Seconds that the turns of all models take, about.

    Args:
      text_ms: of each model, milliseconds of a text by one thread.
      lengths: how many lengths of texts are timed, text as it comes among them.
      batches: how many sizes of batches.

    >>> round(expected(BenchmarkSettings(texts=100, rounds=2, threads="1"), [1.0, 9.0], 3, 1), 2)
    3.3
    """
    texts = settings.texts + settings.rounds * WARM_UP
    return sum(text_ms) / 1000 * texts * lengths * batches * len(settings.thread_list())


def in_words(seconds: float) -> str:
    """For people.

    >>> in_words(7.4), in_words(61), in_words(250), in_words(7000)
    ('7 seconds', '1 minute', '4 minutes', '1 hour 57 minutes')
    """
    if seconds < 60:
        return _counted(max(1, round(seconds)), "second")
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [_counted(hours, "hour")] if hours else []
    return " ".join([*parts, *([_counted(minutes, "minute")] if minutes else [])])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
