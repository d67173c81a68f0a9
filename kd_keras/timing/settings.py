"""What to measure, as flags. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import path_setting, setting
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.formats.format import FORMATS
from kd_keras.tasks import FileSettings

# The teacher is converted in these precisions. Each student is compared with one that computes like it.
TEACHER_PRECISIONS = ("float32", "dynamic")
LENGTHS = (8, 16, 32)


@dataclass(frozen=True)
class BenchmarkSettings(FileSettings):
    """What to measure, and on which text."""

    group = "timing"
    formats: str | None = setting(
        None,
        f"measures these formats, with commas between: {', '.join(FORMATS)}; if not given, keras and all that were "
        "exported.",
        main=True,
        group="model",
    )
    teacher_formats: str = setting(
        "float32,dynamic",
        f"measures the teacher in these precisions, with commas between: {', '.join(TEACHER_PRECISIONS)}; none: not at "
        "all.",
        main=True,
    )
    lengths: str | None = setting(
        None,
        "times texts of these numbers of tokens, with commas between, of a pair both together; if not "
        "given, 8,16,32 as far as the models read so many. Texts at their own length are timed as well.",
        main=True,
    )
    threads: str = setting("1,2", "numbers of threads, with commas between.", main=True)
    texts: int = setting(500, "times this many texts for each format, length and number of threads.", low=10, main=True)
    rounds: int = setting(10, "rounds in which the formats take turns.", low=2, high=1000, main=True)
    data_dir: str | None = path_setting(
        None, "where the run's data is now, if not where the run found it.", main=True, group="data"
    )
    data_file: str | None = path_setting(
        None, "measures on this labeled file instead of the run's dev split.", main=True, group="data"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.length_list()
        self.thread_list()
        self.teacher_list()
        if self.texts < self.rounds:
            raise UserError(f"--texts={self.texts}: expected at least one for each of the {self.rounds} rounds")
        if self.data_dir and self.data_file:
            raise UserError("--data_dir and --data_file exclude each other: give the run's data, or another file")

    def length_list(self, longest: int = 512, whose: str = "a model") -> list[int]:
        """The lengths, ascending. UserError if one is over ``longest``. Below 4, [CLS] and [SEP] leave no text."""
        if self.lengths is None:
            return [n for n in LENGTHS if n <= longest] or [longest]
        found = sorted(_numbers("lengths", self.lengths, 4, 512, "8,16,32"))
        if found[-1] > longest:
            raise UserError(f"--lengths={found[-1]}: {whose} reads at most {longest} tokens")
        return found

    def thread_list(self) -> list[int]:
        return sorted(_numbers("threads", self.threads, 1, 64, "1,2"))

    def teacher_list(self) -> list[str]:
        """The precisions; an empty list for "none"."""
        if self.teacher_formats.strip() == "none":
            return []
        names = [n.strip() for n in self.teacher_formats.split(",")]
        for name in names:
            if name not in TEACHER_PRECISIONS:
                hint = did_you_mean(name, [*TEACHER_PRECISIONS, "none"])
                known = ", ".join(TEACHER_PRECISIONS)
                raise UserError(f"--teacher_formats={name}: expected one or more of {known}, or none.{hint}")
        return [n for n in TEACHER_PRECISIONS if n in names]


def _numbers(flag: str, text: str, low: int, high: int, example: str) -> set[int]:
    parts = [p.strip() for p in text.split(",")]
    if not all(p.isascii() and p.isdigit() and low <= int(p) <= high for p in parts):
        raise UserError(f"--{flag}={text}: expected whole numbers from {low} to {high} with commas, such as {example}")
    return {int(p) for p in parts}
