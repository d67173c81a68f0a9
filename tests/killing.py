"""A student's training that is stopped in each of its stages, and a teacher's that dies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kd_keras.distill import loop
from kd_keras.teachers import fine_tuner


def stopped_in_every_stage(monkeypatch: pytest.MonkeyPatch, train: Callable[[], object]) -> None:
    """Calls ``train`` three times; each time it is stopped at the end of a round of the next of three stages."""
    real = loop.Loop.on_epoch_end
    for place, round_ in (("stage-1", 1), ("stage-2", 1), ("stage-3", 0)):

        def die(self, epoch, logs=None, place=place, round_=round_):
            if self.state.parent.name == place and epoch == round_:
                raise KeyboardInterrupt
            real(self, epoch, logs)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop.Loop, "on_epoch_end", die)
            train()


class Killed(BaseException):
    pass


def kill_after(monkeypatch: pytest.MonkeyPatch, updates: int, error: type[BaseException] = Killed) -> None:
    """The next fine-tuning dies before its update number ``updates`` + 1 of this process."""
    real = fine_tuner.FineTuner._update_function

    def build(self, targets):
        update, count = real(self, targets), iter(range(updates))

        def step(*batch):
            if next(count, None) is None:
                raise error
            return update(*batch)

        return step

    monkeypatch.setattr(fine_tuner.FineTuner, "_update_function", build)
