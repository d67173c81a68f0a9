"""What a process does first that works for another one, here or on another machine."""

from __future__ import annotations

import socket
from pathlib import Path

import kd_keras
from kd_keras.common import cli
from kd_keras.common.errors import UserError


def check_version(version: str) -> None:
    """UserError if this machine has another kd_keras than the command that asks."""
    host = socket.gethostname()
    if version != kd_keras.__version__:
        raise UserError(
            f"{host}: has kd_keras {kd_keras.__version__}, but the command that asks has {version}; "
            "install the same there"
        )


def unseen(folder: Path | str) -> UserError:
    """What to raise if this machine does not see the folder."""
    return UserError(
        f"{socket.gethostname()}: sees no {folder}; give a folder that every machine of the cluster sees at this path"
    )


def begin(cpus: int) -> None:
    """TensorFlow, for a process that has so many CPUs."""
    cli.quiet()
    cli.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    tf.config.threading.set_inter_op_parallelism_threads(cpus)
