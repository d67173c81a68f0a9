"""How every command starts and ends: quiet libraries, one-line errors, exit codes.

Exit codes: 0 done, 2 an error that the user can fix (one line on standard error), 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import sys
from collections.abc import Callable

from absl import app, flags, logging

from kd_keras.common import flagfiles, help_pages, packages, stopping
from kd_keras.common.devices import import_tensorflow as import_tensorflow
from kd_keras.common.devices import out_of_memory
from kd_keras.common.errors import UserError
from kd_keras.common.places import check_output, check_utf8

# Standard streams that were closed when the command began.
_closed: set[str] = set()


def quiet() -> None:
    """Hides the start-up notes of TensorFlow and transformers. Call it before you import them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0")


def _parse(argv: list[str]) -> list[str]:
    help_pages.define(flags.FLAGS)
    try:
        words = flagfiles.expanded(argv[1:])
        for word in words:
            name, equals, value = word.partition("=") if word.startswith("-") else ("argument", "=", word)
            check_utf8(value if equals else name, name if equals else "flag")
        arguments = flags.FLAGS([argv[0], *words])
        if flags.FLAGS["verbosity"].using_default_value:
            flags.FLAGS.verbosity = logging.WARNING  # absl's app would set it to INFO
        return arguments
    except flags.Error as e:
        print(f"error: {' '.join(str(e).split())} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)
    except SystemExit:  # absl ends --helpxml with 1, but help is no failure
        sys.exit(0)


def _prepare_streams() -> None:
    """Makes standard output accept any character, and replaces closed streams."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _closed.add(name)
            try:
                os.fstat(number)
            except OSError:  # or the next open file would get the stream's number
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def require_stream(name: str, instead: str) -> None:
    """Raises UserError if ``name``, "stdin" or "stdout", was closed when the command began."""
    if name in _closed:
        said = {"stdin": "input", "stdout": "output"}[name]
        raise UserError(f"standard {said} is closed; {instead}")


def writes_utf8() -> bool:
    """Whether standard output can encode every character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")


def command(verb: str, **given: object) -> str:
    """A command that can be copied into a shell: ``command("predict", model_dir="my run")``."""
    return shlex.join(["python", "-m", f"kd_keras.{verb}", *(f"--{name}={value}" for name, value in given.items())])


def _drop_output() -> None:
    """Discards what is still to be written. Otherwise Python tries again at its end and prints an error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed_write(e: OSError) -> int:
    """Prints an error that the user can fix as one line, and returns the exit code."""
    _drop_output()
    if isinstance(e, BrokenPipeError):  # `predict … | head` is no error
        return 0
    print(f"error: {e.filename or 'standard output'}: cannot be written ({e.strerror})", file=sys.stderr)
    return 2


def run(main: Callable[[list[str]], None]) -> None:
    """Runs ``main`` as ``app.run`` does, with this project's exit codes. ``main`` gets argv, with the command's name
    first."""
    quiet()
    _prepare_streams()
    stopping.listen()

    def guarded(argv: list[str]) -> int:
        try:
            main(argv)
        except Exception as e:
            if stopping.asked():  # a library turned the interrupt into this error
                raise KeyboardInterrupt from None
            lacks = packages.lacking(e.name) if isinstance(e, ModuleNotFoundError) else None
            said = lacks or out_of_memory(e, flags.FLAGS)
            if said or isinstance(e, UserError):
                print(f"error: {said or e}", file=sys.stderr)
                return 2
            if isinstance(e, OSError) and e.errno in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                return _failed_write(e)
            raise
        return 0

    try:
        app.run(guarded, flags_parser=_parse)
    except SystemExit:
        try:
            sys.stdout.flush()
        except OSError as e:
            sys.exit(_failed_write(e))
        raise
    except BrokenPipeError as e:  # of --help
        sys.exit(_failed_write(e))
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        stopping.leave()


def one_model(models: str) -> None:
    """Raises UserError unless exactly one of ``--model_dir`` and ``--model`` is given; ``models`` says what they
    name."""
    if bool(flags.FLAGS.model_dir) == bool(flags.FLAGS.model):
        raise UserError(f"give either {models}")


def check_asked(texts: list[str], models: str) -> None:
    """Checks what predict and embed share: one model, one source of texts, and one place for the answers.

    Args:
      texts: the arguments.
      models: what ``--model_dir`` and ``--model`` name, for the error.

    Raises:
      UserError: two of these are given, or none; a stream is closed, or a place cannot be written to.
    """
    one_model(models)
    given = flags.FLAGS
    if bool(texts) == bool(given.input):
        raise UserError("give either texts as arguments or --input=FILE (- for standard input)")
    if given.input == "-":
        require_stream("stdin", "give --input=FILE")
    if given.output == "-":
        require_stream("stdout", "give --output=FILE")
    else:
        check_output(given.output, "--output", {"--input": given.input, "--model": given.model})


def no_arguments(argv: list[str]) -> None:
    """Raises UserError if there are arguments that are no flags (a forgotten ``--`` or ``=``)."""
    if len(argv) > 1:
        raise UserError(f"unexpected argument {argv[1]!r}: flags are written --name=value (--help lists them)")


def required(**what: str) -> None:
    """Raises UserError if one of these flags has no value: ``required(model_dir="a run folder of train")``."""
    for name, help in what.items():
        if not flags.FLAGS[name].value:
            kind = "FILE" if name.endswith(("file", "input")) else "DIR"
            raise UserError(f"--{name}={kind} is needed: {help}")
