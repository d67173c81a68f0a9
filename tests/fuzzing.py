"""What the tests of any file share: how often they try, and what counts as an answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings

from kd_keras.common.errors import UserError

T = TypeVar("T")

# KD_FUZZ_EXAMPLES=10000 tries more than the default run does.
often = settings(
    max_examples=int(os.environ.get("KD_FUZZ_EXAMPLES", "200")), deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def answer(call: Callable[[], T]) -> T | None:
    """What ``call`` gives; None for a UserError of one line. Anything else is a failure."""
    try:
        return call()
    except UserError as e:
        assert str(e) and len(str(e).splitlines()) == 1, str(e)
        return None
