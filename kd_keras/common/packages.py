"""Optional packages: the extras of setup.py, and a one-line error if one is missing.

`pip install kd_keras` installs what a .tflite file needs to answer. All else belongs to an extra.
"""

from __future__ import annotations

import importlib.util

from kd_keras.common.errors import UserError
from kd_keras.common.progress import say

_TRAIN = ("tensorflow", "keras", "safetensors", "pyarrow", "filelock")
_TEACHER = (*_TRAIN, "tf_keras", "transformers", "h5py", "sklearn", "huggingface_hub")

# Extra → the modules that its users import. setup.py has the version ranges; a test compares the two.
EXTRAS = {
    "litert": (),
    "train": _TRAIN,
    "teacher": _TEACHER,
    "text": (*_TRAIN, "tensorflow_text"),
    "tfds": (*_TRAIN, "tensorflow_datasets"),
    "augment": ("pyarrow", "HanTa"),
    "compress": (*_TRAIN, "tf_keras", "tensorflow_model_optimization"),
    "plots": ("matplotlib", "tensorboard"),
    "export": (*_TRAIN, "flatbuffers", "huggingface_hub"),
    "ray": (*_TEACHER, "ray"),
}
# Modules that have another name in pip.
_CALLED = {"sklearn": "scikit-learn"}
_NAMED = 3  # in one line


def pip_name(module: str) -> str:
    """The name of a module's package on the index.

    >>> pip_name("tf_keras"), pip_name("sklearn")
    ('tf-keras', 'scikit-learn')
    """
    return _CALLED.get(module, module.replace("_", "-"))


def installed(*modules: str) -> bool:
    """Whether all of them are installed. None is imported."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def require(what: str, extra: str, *modules: str) -> None:
    """Checks before long work that packages are installed. Nothing is imported.

    >>> require("--recipe=soft", "litert")

    Args:
      what: what needs them: a flag with its value, a folder, a command.
      extra: the extra that installs them.
      modules: the modules that are needed; by default all that ``EXTRAS`` names.

    Raises:
      UserError: one is not installed. The error names the packages and pip's command.
    """
    missing = [module for module in modules or EXTRAS[extra] if not installed(module)]
    if missing:
        raise UserError(_said(what, missing, extra))


def say_left_out(what: str, extra: str, *modules: str) -> bool:
    """Whether an optional step must be left out. One line says so, with pip's command."""
    missing = [module for module in modules if not installed(module)]
    if missing:
        say(f"{what}: left out, as {pip_name(missing[0])} is not installed; {pip_command(extra)}")
    return bool(missing)


def lacking(module: str | None) -> str | None:
    """The error for a module that an import did not find; None if no extra has it.

    It names the first extra that has the module, which is the smallest.
    """
    top = (module or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if top in modules), None)
    return extra and f"{pip_name(top)} is not installed; {pip_command(extra)}"


def pip_command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'kd_keras[{extra}]'"


def _said(what: str, missing: list[str], extra: str) -> str:
    names = [pip_name(module) for module in missing]
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} other packages"]
    which = f"{', '.join(names[:-1])} and {names[-1]}, which are" if names[1:] else f"{names[0]}, which is"
    return f"{what}: needs {which} not installed; {pip_command(extra)}"
