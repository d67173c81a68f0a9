"""TensorFlow, imported quietly, and the device that it works on: the CPU or one GPU."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_keras.common import packages
from kd_keras.common.config import AUTO, Checked, setting
from kd_keras.common.disk import disk_error
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.common.quiet import native_notes_held

CPU, GPU = "cpu", "gpu"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
# Flags by which a command takes more memory, or less.
_FILL_MEMORY = ("teacher_batch_size", "batch_size", "label_batch_tokens")
# One of these files exists if an NVIDIA driver is installed, on Linux or in WSL.
_DRIVER = (Path("/proc/driver/nvidia"), Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True)
class DeviceSettings(Checked):
    """The device that TensorFlow computes on."""

    group = "machines"
    device: str = setting(
        AUTO,
        "computes on cpu, on gpu (refused if TensorFlow sees none), or on auto: a GPU if there is one. Of several, "
        f"the first is used; {_VISIBLE} in the environment names another.",
        choices=(AUTO, CPU, GPU),
    )

    def take(self, on_cpus: str | None = None) -> None:
        """Hides the GPUs from this process and its children, or checks that there is one. Call it before anything is
        read.

        Args:
          on_cpus: a flag whose work needs CPUs alone, if it is given.

        Raises:
          UserError: the user asks for a GPU, but there is none or the other flag does not use it.
        """
        if self.device == GPU and on_cpus:
            raise UserError(f"--device=gpu: {on_cpus} works on CPUs alone; leave out one of the two")
        if self.device == CPU or on_cpus:
            hide_gpus()
        if self.device == GPU and not gpu_names():
            raise UserError(
                f"--device=gpu: TensorFlow sees no GPU, only {', '.join(_seen())}{_hidden()}; "
                "make install GPU=1 (or pip install 'kd_keras[gpu]') installs CUDA's libraries beside an NVIDIA "
                "driver; or use --device=cpu"
            )


def hide_gpus() -> None:
    """Hides GPUs from this process and its children. TensorFlow must not be imported yet."""
    os.environ[_VISIBLE] = "-1"


def import_tensorflow() -> None:
    """Imports TensorFlow and hides the start-up notes of its native libraries.

    TensorFlow gets one GPU and takes its memory as needed. Products are full float32: by default a GPU rounds them to
    ten bits.

    Raises:
      UserError: TensorFlow is not installed.
    """
    if "tensorflow" in sys.modules:
        return
    packages.require("TensorFlow's part", "train")
    with native_notes_held():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices(GPU.upper())[:1]
        if gpus:
            tf.config.set_visible_devices(gpus, GPU.upper())
            tf.config.experimental.set_memory_growth(gpus[0], True)
            tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.get_logger().setLevel("ERROR")


def gpu_names() -> list[str]:
    """Names of the GPUs that TensorFlow uses: none or one. TensorFlow is imported only if there is a driver."""
    if "tensorflow" not in sys.modules and not any(path.exists() for path in _DRIVER):
        return []
    import_tensorflow()
    import tensorflow as tf

    gpus = tf.config.get_visible_devices(GPU.upper())
    return [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]


def out_of_memory(e: BaseException, values: Any) -> str | None:
    """What to do about TensorFlow's error that a device's memory is full; None of any other error.

    Args:
      values: ``absl.flags.FLAGS`` of the command.
    """
    # By its name, as TensorFlow may not be imported; it has the same one for a full disk.
    if type(e).__name__ != "ResourceExhaustedError" or disk_error(e):
        return None
    gpu = re.search(r"device:(GPU:\d+)", str(e))
    lower = [f"--{name} (now {values[name].value:,})" for name in _FILL_MEMORY if name in values]
    ways = [f"lower {' or '.join(lower)}"] if lower else []
    ways += [f"compute on the CPUs with --device={CPU}"] if gpu and "device" in values else []
    where = gpu[1] if gpu else "this machine"
    return f"{where} has no memory left: {', or '.join(ways) or 'end other programs that fill it'}"


def tell() -> None:
    """Prints which GPU is used, if one is."""
    for name in gpu_names():
        say(f"device: {name}")


def _seen() -> list[str]:
    """All GPUs that TensorFlow finds."""
    import_tensorflow()
    import tensorflow as tf

    return [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]


def _hidden() -> str:
    return f" ({_VISIBLE}={os.environ[_VISIBLE]} is set)" if _VISIBLE in os.environ else ""
