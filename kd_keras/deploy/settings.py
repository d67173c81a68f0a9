"""What to export, as flags; no TensorFlow import."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import Checked, setting
from kd_keras.common.errors import UserError
from kd_keras.deploy.formats import EXPORTS, Format, parse_formats


@dataclass(frozen=True)
class ExportSettings(Checked):
    """What to export and what to compare it on."""

    formats: str | None = setting(
        None,
        f"formats to write, with commas: {', '.join(EXPORTS)}. All of them if not given, tflite_int8 only with "
        "--calibration_file. tflite_… are unrolled to --tflite_length tokens (one subgraph, for MediaPipe), "
        "tflite_loop_… take any length.",
    )
    tflite_length: int = setting(
        64, "tokens that an unrolled TFLite file reads; longer text is cut. At most the student's own.", low=1, high=512
    )
    calibration_file: str | None = setting(
        None,
        "text like that of the app, for tflite_int8's ranges: a line a text, or .csv, .tsv, .jsonl (labels are not "
        "looked at).",
    )
    check_file: str | None = setting(
        None,
        "text to compare every file with Keras on, labelled or not; --calibration_file if not given, else a list of "
        "invented sentences.",
    )

    def chosen(self) -> list[Format]:
        """The formats to write; UserError where one is unknown or lacks what it needs."""
        if self.formats is None:
            return [f for f in EXPORTS.values() if f.precision != "int8" or self.calibration_file]
        found = parse_formats(self.formats, EXPORTS)
        if any(f.precision == "int8" for f in found) and not self.calibration_file:
            raise UserError(
                "--formats=tflite_int8 needs --calibration_file=FILE: some hundred texts like those of the app, by "
                "which the ranges of its integers are chosen"
            )
        return found
