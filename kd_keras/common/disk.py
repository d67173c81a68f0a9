"""Turns a failed write into an error that names the place and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator

from kd_keras.common.errors import UserError
from kd_keras.common.reading import PathLike

_REFUSED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
    errno.EBUSY, errno.ENXIO,
)  # fmt: skip

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def disk_errors(path: PathLike, whatever: bool = False) -> Iterator[None]:
    """Turns "disk full", "not allowed" and similar errors into a UserError that names ``path``; ``whatever``: every
    OSError."""
    try:
        yield
    except UserError:
        raise
    except Exception as e:
        number = disk_error(e)
        said = getattr(e, "strerror", None) or os.strerror(number or errno.EIO)
        if number in _FULL:
            raise UserError(f"{path}: the disk is full ({said}); make room and run the same command: it resumes") from e
        if number == errno.EROFS:
            raise UserError(
                f"{path}: cannot be written ({said}); make it writable and run the same command: it resumes"
            ) from e
        if number in _REFUSED or (whatever and isinstance(e, OSError)):
            raise UserError(f"{path}: cannot be written ({said})") from e
        raise


def temporary_disk_errors() -> contextlib.AbstractContextManager[None]:
    """:func:`disk_errors` for temporary files, which have no name that a user knows."""
    return disk_errors(f"{tempfile.gettempdir()} (temporary files; TMPDIR names another folder)")


def disk_error(e: BaseException) -> int | None:
    """The errno of a failed write. TensorFlow, safetensors and HDF5 give it only in their own errors' words."""
    if isinstance(e, OSError) and e.errno:
        return e.errno
    return next((number for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) if os.strerror(number) in str(e)), None)
