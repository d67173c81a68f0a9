"""What to export, as flags. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import path_setting, setting
from kd_keras.formats.format import EXPORTS, Format, parse_formats
from kd_keras.tasks import FileSettings


@dataclass(frozen=True)
class ExportSettings(FileSettings):
    """What to export and what to compare it on."""

    group = "output"
    formats: str | None = setting(
        None,
        f"writes these formats, with commas between: {', '.join(EXPORTS)}; if not given, all, and tflite_int8 only "
        "with text for its ranges. tflite_… are unrolled to --tflite_length tokens (one subgraph, for MediaPipe); "
        "tflite_loop_… take any length, and any number of texts at once.",
        main=True,
        group="model",
    )
    arm: str | None = setting(
        None,
        "exports this student, a folder of RUN/arms (baseline-seed1), into that folder; if not given, the "
        "one that the run kept.",
        main=True,
        group="model",
    )
    tflite_length: int = setting(
        64,
        "tokens that an unrolled TFLite file reads; longer text is cut, a tagger's read in windows. At most the "
        "student's own.",
        low=1,
        high=512,
        main=True,
    )
    calibration_file: str | None = path_setting(
        None,
        "text like that of the app, for the ranges of tflite_int8: one text a line, or .csv, .tsv, .jsonl "
        "(labels are not read); if not given, the run's training rows.",
        main=True,
        group="data",
    )
    check_file: str | None = path_setting(
        None,
        "compares every file with Keras on this text, labeled or not; if not given, on the run's dev "
        "split, or if that is not found on --calibration_file, else on invented sentences.",
        main=True,
        group="data",
    )
    data_dir: str | None = path_setting(
        None, "where the run's data is now, if not where the run found it.", main=True, group="data"
    )

    def chosen(self) -> list[Format]:
        """The formats of the flag. Raises UserError if one is unknown."""
        return parse_formats(self.formats, EXPORTS) if self.formats else list(EXPORTS.values())
