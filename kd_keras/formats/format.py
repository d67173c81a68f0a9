"""The formats a student can be exported to, and how close each must stay to Keras. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kd_keras.common.errors import UserError, did_you_mean

# Where two scores are near, chance picks the label. Agreement on all texts may be lower than on the clear ones by this.
_CLOSE_CALLS = 0.03


@dataclass(frozen=True)
class Format:
    """One way to run a student.

    Attributes:
      name: as flags have it, "tflite_loop_dynamic".
      form: "unrolled" (fixed length, one subgraph) or "loop" (any length) of a TFLite graph, else "".
      precision: "float32", "float16", "dynamic" (int8 weights, float answers) or "int8".
      tolerance: the largest allowed difference of a score from Keras'. None: only labels are compared.
      agreement: the smallest allowed share of the texts with Keras' label, among those that Keras is clear about.
      close_calls: how much smaller the share may be over all texts.
    """

    name: str
    form: str = ""
    precision: str = "float32"
    tolerance: float | None = 1e-4
    agreement: float = 0.98
    close_calls: float = _CLOSE_CALLS

    def allowed(self) -> dict[str, float]:
        """The limits of a ``Verification``, by field: the largest difference, and the smallest shares."""
        most = {} if self.tolerance is None else {"max_score_difference": self.tolerance}
        return most | {"clear_agreement": self.agreement, "agreement": round(self.agreement - self.close_calls, 4)}

    def of_words(self) -> Format:
        """The same format for a tagger. Most of its words are clear, because they are in no entity."""
        return replace(self, agreement=0.99 if self.precision == "int8" else 0.999, close_calls=0.01)

    def of_vectors(self) -> Format:
        """The same format for a universal student. Every text is compared (``deploy.agreement``)."""
        return replace(self, close_calls=0.0)

    @property
    def is_tflite(self) -> bool:
        return self.form != ""

    @property
    def file(self) -> str:
        """The file's name in the run folder's tflite/."""
        return self.name.removeprefix("tflite_") + ".tflite"


KERAS = Format("keras")
SAVED_MODEL = Format("saved_model")
_TOLERANCE = {"float32": 1e-4, "float16": 5e-3, "dynamic": None, "int8": None}
_TFLITE = [
    Format(f"tflite_{prefix}{precision}", form, precision, _TOLERANCE[precision])
    for form, prefix in (("unrolled", ""), ("loop", "loop_"))
    for precision in _TOLERANCE
    if (form, precision) != ("loop", "int8")
]
EXPORTS = {f.name: f for f in (SAVED_MODEL, *_TFLITE)}
FORMATS = {"keras": KERAS, **EXPORTS}


def parse_formats(text: str, known: dict[str, Format]) -> list[Format]:
    """The formats that a flag names, with commas, each once. Raises UserError if a name is unknown."""
    names = [n.strip() for n in text.split(",")]
    found = []
    for name in dict.fromkeys(names):
        if name == "tflite_loop_int8":
            raise UserError(
                "--formats=tflite_loop_int8: this format does not exist, because calibrating a loop crashes "
                "TensorFlow's converter; use tflite_int8 (unrolled) or tflite_loop_dynamic"
            )
        if name not in known:
            raise UserError(
                f"--formats={name}: expected one or more of {', '.join(known)}, with commas.{did_you_mean(name, known)}"
            )
        found.append(known[name])
    return found


def names(formats: Sequence[Format]) -> str:
    return ", ".join(f.name for f in formats)
