"""The device that TensorFlow works on, with lists of devices made up here: no GPU is needed, and none is used."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from kd_keras.common import devices
from kd_keras.common.devices import DeviceSettings
from kd_keras.common.errors import UserError


class Config:
    """What of ``tf.config`` is asked for."""

    def __init__(self, *gpus: str):
        kinds = {"CPU:0": "CPU"} | {f"GPU:{n}": "GPU" for n in range(len(gpus))}
        self.there = [SimpleNamespace(name=f"/physical_device:{n}", device_type=k) for n, k in kinds.items()]
        self.names, self.visible, self.growth, self.tensor_float = list(gpus), list(self.there), [], True
        self.experimental = SimpleNamespace(
            set_memory_growth=lambda gpu, on: self.growth.append((gpu.name, on)),
            enable_tensor_float_32_execution=lambda on: setattr(self, "tensor_float", on),
            get_device_details=lambda gpu: {"device_name": self.names[int(gpu.name.rpartition(":")[2])]},
        )

    def list_physical_devices(self, kind: str | None = None) -> list:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == "-1"
        return [d for d in self.there if kind in (None, d.device_type) and not (hidden and d.device_type == "GPU")]

    def set_visible_devices(self, some: list, kind: str) -> None:
        self.visible = [d for d in self.visible if d.device_type != kind] + some

    def get_visible_devices(self, kind: str) -> list:
        return [d for d in self.visible if d in self.list_physical_devices(kind)]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """(names of GPUs, driver=whether one is there) → a machine with these, on which TensorFlow is not imported yet."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    ours = sys.modules.pop("tensorflow", None)

    def make(*gpus: str, driver: bool | None = None) -> Config:
        config = Config(*gpus)
        there = bool(gpus) if driver is None else driver
        monkeypatch.setattr(devices, "_DRIVER", (tmp_path if there else tmp_path / "none",))
        fake = SimpleNamespace(config=config, get_logger=lambda: SimpleNamespace(setLevel=lambda level: None))

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name != "tensorflow":
                    return None
                from importlib.machinery import ModuleSpec

                return ModuleSpec(name, self)

            def create_module(self, spec):
                return fake

            def exec_module(self, module):
                config.imported = True

        monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
        config.imported = False
        return config

    yield make
    sys.modules.pop("tensorflow", None)
    if ours is not None:
        sys.modules["tensorflow"] = ours


def test_auto_takes_the_first_gpu_and_its_memory_as_it_is_needed(machine, capsys):
    config = machine("H200", "A100")
    DeviceSettings().take()
    assert not config.imported, "auto asks for nothing yet"
    devices.import_tensorflow()
    assert devices.gpu_names() == ["H200"]
    assert config.growth == [("/physical_device:GPU:0", True)] and config.tensor_float is False
    devices.tell()
    assert capsys.readouterr().err == "device: H200\n"


def test_without_a_gpu_auto_is_the_cpu_and_says_nothing(machine, capsys):
    config = machine()
    DeviceSettings().take()
    assert devices.gpu_names() == [] and not config.imported, "no driver, so TensorFlow need not be asked"
    devices.import_tensorflow()
    devices.tell()
    assert (config.growth, config.tensor_float, capsys.readouterr().err) == ([], True, "")


def test_cpu_hides_a_gpu_before_tensorflow_is_imported(machine, monkeypatch):
    config = machine("H200")
    DeviceSettings(device="cpu").take()
    assert not config.imported and os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    devices.import_tensorflow()
    assert devices.gpu_names() == [] and config.growth == []


def test_gpu_is_taken_where_there_is_one_and_refused_where_there_is_none(machine, monkeypatch):
    machine("H200")
    DeviceSettings(device="gpu").take()
    del sys.modules["tensorflow"]
    for driver in (False, True):  # the second: CUDA's libraries are missing
        machine(driver=driver)
        with pytest.raises(
            UserError, match=r"^--device=gpu: TensorFlow sees no GPU, only CPU:0; make install GPU=1 .*cpu$"
        ):
            DeviceSettings(device="gpu").take()
        del sys.modules["tensorflow"]
    machine("H200")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(UserError, match=r"only CPU:0 \(CUDA_VISIBLE_DEVICES=-1 is set\);"):
        DeviceSettings(device="gpu").take()


def test_what_works_on_cpus_alone_hides_a_gpu_and_refuses_to_have_one(machine):
    machine("H200")
    with pytest.raises(UserError, match="--device=gpu: --workers=2 works on CPUs alone; leave out one of the two"):
        DeviceSettings(device="gpu").take("--workers=2")
    DeviceSettings().take("--workers=2")
    assert devices.gpu_names() == []


def test_only_three_devices_are_known():
    with pytest.raises(UserError, match="--device=tpu: expected one of auto, cpu, gpu"):
        DeviceSettings(device="tpu")


@pytest.mark.parametrize("verb", ["finetune", "label", "train", "pretrain", "predict", "evaluate", "embed"])
def test_every_command_has_the_flag(run_python, verb):
    assert "--device:" in run_python("-m", f"kd_keras.{verb}", "--helpfull").stdout


def test_a_command_refuses_what_is_not_there_in_one_line(run_python, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done = run_python("-m", "kd_keras.finetune", f"--output_dir={tmp_path / 'teacher'}", "--device=gpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: --device=gpu: TensorFlow sees no GPU, only CPU:0 (CUDA_VISIBLE_DEVICES=-1 is set)"
    )
    assert done.stderr.count("\n") == 1 and not (tmp_path / "teacher").exists()


FULL = """
import sys
from kd_keras.common import cli
from kd_keras.common.config import define_flags
from kd_keras.common.devices import DeviceSettings
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
if sys.argv.pop(1) == "trains":
    for settings in (TeacherSettings, LabelSettings, DeviceSettings):
        define_flags(settings)
def main(argv):
    import tensorflow as tf
    where = "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc"
    raise tf.errors.ResourceExhaustedError(None, None, f"{argv[1]}\\n when allocating\\n on {where}")
cli.run(main)
"""


def test_a_gpu_without_memory_is_one_line(run_python, tmp_path):
    done = run_python("-c", FULL, "trains", "OOM", "--teacher_batch_size=4096", cwd=tmp_path)
    said = done.stderr.splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done
    assert said[-1] == (
        "error: GPU:0 has no memory left: lower --teacher_batch_size (now 4,096) or --label_batch_tokens (now 2,048), "
        "or compute on the CPUs with --device=cpu"
    )


class ResourceExhaustedError(Exception):
    """As TensorFlow's, which is not imported here."""


def test_what_else_is_exhausted():
    flags = {"batch_size": SimpleNamespace(value=128)}
    full = devices.out_of_memory(ResourceExhaustedError("on device:CPU:0"), flags)
    assert full == "this machine has no memory left: lower --batch_size (now 128)"
    assert devices.out_of_memory(ResourceExhaustedError("device:GPU:1"), {}).startswith("GPU:1 has no memory left: end")
    assert devices.out_of_memory(ResourceExhaustedError("x.tmp; No space left on device"), flags) is None
    assert devices.out_of_memory(ValueError("OOM"), flags) is None
