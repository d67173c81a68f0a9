"""Frozen dataclasses define each setting once: default, help text, limits, absl flag.

    @dataclass(frozen=True)
    class Settings:
        group = "training"                # the heading of its flags in --help
        alpha: float = setting(0.0, "weight of the gold labels", low=0.0, high=1.0, main=True)

    define_flags(Settings)               # in a verb, at import
    settings = from_flags(Settings)      # in main(): a plain object, which libraries take

Limits are checked when the object is made, so a notebook gets the same one-line errors as a command.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import typing
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from absl import flags

from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.places import check_utf8, here_or_away, local

T = TypeVar("T")

# The headings of --help, in their order. A settings class names its ``group``; one setting may name another.
GROUPS = ("model", "data", "teacher", "text", "student", "training", "compression", "timing", "output", "machines")

# This value means that data and checkpoint decide. The field of such a number is a ``float | str``.
AUTO = "auto"
# The kind of a flag that names a folder here or in an object store.
AWAY = "away"


class _Shown(NamedTuple):
    """Whether --help shows a flag, and under which of ``GROUPS`` if not under its class's."""

    main: bool = False
    group: str | None = None


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
    late: bool = False,
    before: Any = None,
    **shown: Any,
) -> Any:
    """Makes a dataclass field that is also a flag.

    Args:
      default, help, choices: the flag's.
      low, high: limits, inclusive.
      late: whether runs existed before this setting. At its default :func:`key_of` leaves it out, so that earlier
        artifacts are found again.
      before: the value that all runs had before a late setting came, if it is not the default.
      shown: see ``_Shown``.
    """
    meta = {"help": help, "low": low, "high": high, "choices": tuple(choices or ()), "late": late, "before": before}
    meta |= _Shown(**shown)._asdict()
    return dataclasses.field(default=default, metadata=meta)


def path_setting(default: str | None, help: str, kind: str = "one", **shown: Any) -> Any:
    """A :func:`setting` that names a file or a folder. ``~`` is expanded.

    Args:
      kind: "one"; "many", separated by commas; or AWAY, a folder here or in an object store.
    """
    meta = setting(default, help, **shown).metadata | {"path": kind}
    return dataclasses.field(default=default, metadata=meta)


def redefined(cls: type, name: str, default: Any, **changed: Any) -> Any:
    """A copy of the :func:`setting` ``name`` of ``cls``, for a subclass with another default, help or limits."""
    (field,) = (f for f in dataclasses.fields(cls) if f.name == name)
    return dataclasses.field(default=default, metadata=field.metadata | changed)


class Checked:
    """Mixin that expands ``~`` in paths and checks each ``setting`` against its limits, on construction."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None and (path := field.metadata.get("path")):
                parts = re.split(r"(,\s*)", str(value)) if path == "many" else [value]
                read = here_or_away if path == AWAY else local
                object.__setattr__(self, field.name, "".join(read(p, f"--{field.name}") for p in parts))
            elif isinstance(value, str):
                check_utf8(value, f"--{field.name}")
            _check(field, value)


def _check(field: dataclasses.Field, value: Any) -> None:
    if value == AUTO and field.default == AUTO:
        return
    low, high = field.metadata.get("low"), field.metadata.get("high")
    under = value is not None and low is not None and not value >= low  # NaN fails every comparison
    over = value is not None and high is not None and not value <= high
    if under or over:
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        raise UserError(f"--{field.name}={value:g}: expected {' and '.join(bounds)}")
    choices = field.metadata.get("choices")
    if choices and value not in choices and not (value is None and field.default is None):
        hint = did_you_mean(str(value), choices)
        raise UserError(f"--{field.name}={value}: expected one of {', '.join(choices)}.{hint}")


def key_of(settings: Any, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """The settings as a key: every field by name, but a late field only if its value differs from the one before."""
    values = dataclasses.asdict(settings)
    silent = {
        f.name
        for f in dataclasses.fields(settings)
        if f.metadata.get("late") and values[f.name] == (f.default if f.metadata.get("before") is None else
                                                         f.metadata["before"])
    }  # fmt: skip
    return {name: value for name, value in values.items() if name not in silent and name not in leave_out}


class _AutoParser(flags.FloatParser):
    """A number, or the word auto."""

    def parse(self, argument: Any) -> Any:
        try:
            return AUTO if str(argument).strip().lower() == AUTO else super().parse(argument)
        except (TypeError, ValueError):
            raise ValueError(f"expected a number or {AUTO}") from None

    def flag_type(self) -> str:
        return f"number or {AUTO}"


class _AutoSerializer(flags.ArgumentSerializer):
    def serialize(self, value: Any) -> str:
        return value if value == AUTO else repr(value)


def _define_auto(name: str, default: Any, help: str, **kwargs: Any) -> None:
    flags.DEFINE(_AutoParser(), name, default, help, serializer=_AutoSerializer(), **kwargs)


class _PathParser(flags.ArgumentParser):
    """A path whose ``~`` is expanded, or whatever else ``read`` accepts."""

    def __init__(self, name: str, read: Callable[[Any, str], str]):
        super().__init__()
        self._name, self._read = name, read

    def parse(self, argument: Any) -> str:
        return self._read(argument, f"--{self._name}")


def _define_path(name: str, default: str | None, help: str, read: Any = local, **where: Any) -> None:
    flags.DEFINE(_PathParser(name, read), name, default, help, serializer=flags.ArgumentSerializer(), **where)


_DEFINE = {
    float | str: _define_auto,
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    Path: _define_path,
    AWAY: partial(_define_path, read=here_or_away),
}


def define_flags(cls: type) -> None:
    """Defines one absl flag for each ``setting`` of the dataclass, under its group."""
    _define(cls, flags.FLAGS)


def _define(cls: type, values: Any) -> None:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata:
            continue
        text = field.metadata["help"]
        if field.metadata["choices"]:
            text += f" One of: {', '.join(field.metadata['choices'])}."
        kind = next(t for t in (hints[field.name], *typing.get_args(hints[field.name])) if t in _DEFINE)
        define = _DEFINE[{"one": Path, AWAY: AWAY}.get(field.metadata.get("path"), kind)]
        # absl's "module" is the heading under which a flag is shown.
        define(field.name, field.default, text, module_name=_group(cls, field), flag_values=values)
        values[field.name].main = field.metadata["main"]


def _group(cls: type, field: dataclasses.Field) -> str:
    """The setting's own group, or that of the class that defines the setting."""
    written = next(c for c in cls.__mro__ if field.name in vars(c).get("__annotations__", {}))
    group = field.metadata["group"] or written.group
    if group not in GROUPS:
        raise ValueError(f"{written.__name__}.{field.name}: group {group!r} is none of {', '.join(GROUPS)}")
    return group


def define_own(name: str, default: Any, help: str, group: str, kind: Any = str, main: bool = True) -> None:
    """Defines a flag that only this command has.

    Args:
      name, default, help: the flag's.
      group: one of ``GROUPS``.
      kind: str, int, bool, or Path for a file or folder, whose ``~`` is expanded. AWAY for a folder here or in an
        object store.
      main: whether --help shows it.
    """
    _DEFINE[kind](name, default, help, module_name=group)
    flags.FLAGS[name].main = main


def from_flags(cls: type[T], **overrides: Any) -> T:
    """An object of ``cls`` from the parsed flags."""
    return cls(**{flag.name: flag.value for flag in _flags(flags.FLAGS, cls)} | overrides)


def from_flagfile(cls: type[T], text: str) -> T:
    """An object of ``cls`` from the text that :func:`flags_text` wrote. It ignores flags of other classes.

    Raises:
      UserError: a value is not allowed for its flag.
    """
    values = flags.FlagValues()
    _define(cls, values)
    try:
        values(["", *(line for line in text.splitlines() if line.startswith("--"))], known_only=True)
    except flags.Error as e:
        raise UserError(f"the run's flags: {' '.join(str(e).split())}") from None
    return cls(**{flag.name: flag.value for flag in _flags(values, cls)})


def _flags(values: Any, cls: type) -> list[flags.Flag]:
    return [values[f.name] for f in dataclasses.fields(cls) if "help" in f.metadata]


def set_flags(cls: type) -> list[str]:
    """The flags of ``cls`` that are not at their defaults, as a user types them."""
    return [shlex.quote(flag.serialize()) for flag in _flags(flags.FLAGS, cls) if flag.value != flag.default]


def flags_text(values: Any, classes: Sequence[type]) -> str:
    """The flags of ``classes`` as a flagfile: first those that were set, then the others as comments.

    Args:
      values: ``absl.flags.FLAGS`` after parsing.
    """
    chosen, defaults = [], []
    for cls in classes:
        for flag in _flags(values, cls):
            line = flag.serialize()
            if flag.value != flag.default:
                chosen.append(line)
            elif line:
                defaults.append(f"# {line}")
    return "\n".join([*chosen, "# at their defaults:", *defaults]) + "\n"
