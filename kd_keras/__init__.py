"""kd_keras: distil a BERT text classifier into a BiLSTM that runs on a phone.

    import kd_keras as kd

    data = kd.load_data(kd.TaskSettings(task="custom", train_file="mine.csv"))
    student = kd.build_student(kd.StudentSettings(), matrix, outputs=2, seed=1)
    kd.Distiller(student, [kd.objectives.LogitMSE()])

The names below are imported when they are used, so importing the package imports neither TensorFlow nor Keras. A saved
student holds only built-in Keras layers. ``keras.saving.load_model("student.keras")`` needs nothing of this package.
"""

import re
import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Python passes "-m" while it looks for a command to import, which takes a moment.
if sys.argv[:1] == ["-m"] and any(re.match(r"(-m)?kd_keras(\.|$)", word) for word in sys.orig_argv):
    import os
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))

# Public name → "module:name", or a whole module.
_PUBLIC = {
    "Distiller": "distill.distiller:Distiller",
    "Runner": "deploy.runner:Runner",
    "SignalStore": "teachers.signals:SignalStore",
    "StudentSettings": "students.settings:StudentSettings",
    "TaskSettings": "tasks.settings:TaskSettings",
    "Teacher": "teachers.bert:Teacher",
    "build_student": "students.bilstm:build_student",
    "export_student": "deploy.exporter:export",
    "load_data": "tasks.settings:load_data",
    "load_student": "students.inference:load_student",
    "objectives": "distill.objectives",
    "stages": "distill.stages",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kd_keras' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    module, _, inside = _PUBLIC[name].partition(":")
    try:
        found = import_module(f"kd_keras.{module}")
    except ModuleNotFoundError as e:
        said = import_module(f"{__name__}.common.packages").lacking(e.name)
        raise ModuleNotFoundError(f"{__name__}.{name}: {said or e}", name=e.name) from e
    globals()[name] = getattr(found, inside) if inside else found
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
