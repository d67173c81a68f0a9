"""What to export, as flags; no TensorFlow import."""

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
        f"formats to write, with commas: {', '.join(EXPORTS)}. All of them if not given, tflite_int8 only with "
        "text for its ranges. tflite_… are unrolled to --tflite_length tokens (one subgraph, for MediaPipe), "
        "tflite_loop_… take any length, and any number of texts at once.",
        main=True,
        group="model",
    )
    arm: str | None = setting(
        None,
        "the student to export, a folder of RUN/arms (baseline-seed1); the one that the run kept if not given. The "
        "files of another one go to that folder.",
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
        "text like that of the app, for tflite_int8's ranges: a line a text, or .csv, .tsv, .jsonl (labels are not "
        "looked at). The run's training rows if not given.",
        main=True,
        group="data",
    )
    check_file: str | None = path_setting(
        None,
        "text to compare every file with Keras on, labelled or not. The run's dev split if not given; where that is "
        "not found, --calibration_file, else a list of invented sentences.",
        main=True,
        group="data",
    )
    data_dir: str | None = path_setting(
        None, "where the run's data is now, if not where the run found it.", main=True, group="data"
    )

    def chosen(self) -> list[Format]:
        """The formats that are asked for; UserError where one is unknown."""
        return parse_formats(self.formats, EXPORTS) if self.formats else list(EXPORTS.values())
