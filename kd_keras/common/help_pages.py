"""The pages of --help and --helpfull: absl's layout, with the flags in groups."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from absl import flags

from kd_keras.common.config import GROUPS


def page(values: Any, about: str, full: bool) -> str:
    """A command's help.

    Args:
      values: ``absl.flags.FLAGS`` with the flags of ``config.define_flags`` and ``define_own``.
      about: the command's docstring.
      full: whether to show all flags, or only the main ones.
    """
    ours = {group: values.get_flags_for_module(group) for group in GROUPS}
    shown = {group: [f for f in mine if full or f.main] for group, mine in ours.items()}
    text = f"{about.strip()}\n\nflags:\n" + "\n".join(
        _filed({g: mine}).module_help(g) for g, mine in shown.items() if mine
    )
    if full:
        # absl's other flags, on logging and profiling, fill a screen.
        absls = {"absl.app": [values[name] for name in ("help", "helpfull", "helpxml")]}
        return f"{text}\n{_filed(absls).get_help()}\n\n--helpxml lists absl's other flags too.\n"
    few, all_ = (sum(map(len, groups.values())) for groups in (shown, ours))
    last = f"{few} of {all_} flags; --helpfull shows all." if few < all_ else "--helpfull shows absl's --flagfile too."
    return f"{text}\n\n{last}\n"


def _filed(flags_of: Mapping[str, Iterable[flags.Flag]]) -> flags.FlagValues:
    """The flags under headings. absl lists them so, because it takes the headings for modules."""
    values = flags.FlagValues()
    for heading, some in flags_of.items():
        for flag in some:
            values[flag.name] = flag
            values.register_flag_by_module(heading, flag)
    return values


class _Help(flags.BooleanFlag):
    """Prints a page and ends the command, as absl's own flag does."""

    def __init__(self, name: str, help: str, show: Callable[[], str], short_name: str | None = None):
        super().__init__(name, False, help, short_name=short_name, allow_override=True)
        self._show = show

    def parse(self, argument: Any) -> None:
        if self._parse(argument):
            sys.stdout.write(self._show())
            sys.exit(0)


def define(values: Any) -> None:
    """Replaces absl's --help and --helpfull by this module's. absl's must be in ``values`` already."""

    def show(full: bool) -> str:
        return page(values, sys.modules["__main__"].__doc__ or "", full)

    for name, short in (("help", "?"), ("helpshort", None)):
        flags.DEFINE_flag(_Help(name, "show the main flags", lambda: show(False), short), values, "absl.app")
    flags.DEFINE_flag(_Help("helpfull", "show all flags", lambda: show(True)), values, "absl.app")
