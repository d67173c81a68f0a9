"""How every command starts and ends: quiet libraries, one-line errors, exit codes.

Exit codes: 0 done, 2 the user can put it right (one line on standard error), 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from absl import app, flags, logging

from kd_keras.common import stopping
from kd_keras.common.errors import UserError


def quiet() -> None:
    """Keeps TensorFlow's and transformers' start-up chatter off the screen; call before importing them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0")


@contextlib.contextmanager
def native_notes_held(most: int = 0) -> Iterator[None]:
    """Holds back what native libraries write to file descriptor 2, which no setting turns off.

    Where something fails it is shown: its last ``most`` bytes, 0 being all. Ctrl-C is no failure.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except Exception:
            notes.seek(0)
            os.write(kept, notes.read()[-most:])
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def import_tensorflow() -> None:
    """Imports TensorFlow without its native libraries' start-up notes."""
    if "tensorflow" in sys.modules:
        return
    with native_notes_held():
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")


def _parse(argv: list[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
        if flags.FLAGS["verbosity"].using_default_value:
            flags.FLAGS.verbosity = logging.WARNING  # absl's app would make it INFO
        return arguments
    except flags.Error as e:
        print(f"error: {' '.join(str(e).split())} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)
    except SystemExit:  # absl ends --help with 1, but being asked is no failure
        sys.exit(0)


def run(main: Callable[[list[str]], None]) -> None:
    """``app.run`` with this project's exit codes. ``main`` gets argv, the command's name first."""
    quiet()
    stopping.listen()

    def guarded(argv: list[str]) -> int:
        try:
            main(argv)
        except Exception as e:
            if stopping.asked():  # then it is what a library made of the interrupt
                raise KeyboardInterrupt from None
            if isinstance(e, UserError):
                print(f"error: {e}", file=sys.stderr)
                return 2
            if isinstance(e, BrokenPipeError):  # `predict … | head` is no fault
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 0
            raise
        return 0

    try:
        app.run(guarded, flags_parser=_parse)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        stopping.leave()


def no_arguments(argv: list[str]) -> None:
    """Refuses words that are no flags (a forgotten ``--`` or ``=``)."""
    if len(argv) > 1:
        raise UserError(f"unexpected argument {argv[1]!r}: flags are written --name=value (--help lists them)")


def required(**what: str) -> None:
    """Refuses flags without a value: ``required(model_dir="a run folder of train")``."""
    for name, help in what.items():
        if not flags.FLAGS[name].value:
            kind = "FILE" if name.endswith(("file", "input")) else "DIR"
            raise UserError(f"--{name}={kind} is needed: {help}")
