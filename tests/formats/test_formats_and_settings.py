"""Names of formats, and what is refused before any work."""

from __future__ import annotations

import pytest

from kd_keras.common.errors import UserError
from kd_keras.deploy.settings import ExportSettings
from kd_keras.formats.format import EXPORTS, FORMATS, parse_formats

TFLITE = [
    "tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8",
    "tflite_loop_float32", "tflite_loop_float16", "tflite_loop_dynamic",
]  # fmt: skip


def test_the_names():
    assert list(EXPORTS) == ["saved_model", *TFLITE] and list(FORMATS) == ["keras", *EXPORTS]
    assert [f.file for f in EXPORTS.values() if f.is_tflite] == [n.removeprefix("tflite_") + ".tflite" for n in TFLITE]
    assert EXPORTS["tflite_loop_dynamic"].form == "loop" and EXPORTS["tflite_int8"].form == "unrolled"


def test_parsing():
    assert [f.name for f in parse_formats("tflite_int8, keras,tflite_int8", FORMATS)] == ["tflite_int8", "keras"]
    with pytest.raises(UserError, match="--formats=tflite_dynmic: expected one or more .* Did you mean tflite_dynamic"):
        parse_formats("saved_model,tflite_dynmic", EXPORTS)
    with pytest.raises(UserError, match="--formats=keras: expected one or more of saved_model"):
        parse_formats("keras", EXPORTS)
    with pytest.raises(UserError, match="tflite_loop_int8: this format does not exist, .* crashes .*tflite_int8"):
        parse_formats("tflite_loop_int8", FORMATS)
    with pytest.raises(UserError, match="--formats=: expected"):
        parse_formats("", EXPORTS)


def test_all_formats_are_asked_for_if_none_is_named():
    assert [f.name for f in ExportSettings().chosen()] == ["saved_model", *TFLITE]
    with pytest.raises(UserError, match="--tflite_length=0: expected at least 1"):
        ExportSettings(tflite_length=0)
