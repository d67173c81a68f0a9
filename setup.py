"""Installs the package; ``make install`` and BUILD.md use the exact pins of requirements.txt instead."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """``__version__`` as written in kd_keras/__init__.py, which is read and not imported."""
    text = (ROOT / "kd_keras" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if not found:
        raise RuntimeError('kd_keras/__init__.py: expected a line __version__ = "…"')
    return found.group(1)


# Lower bounds: what passed the tests. Upper bounds: the next version that may break. docs/install.md says more.
# What `predict`, `embed` and `evaluate` need of a .tflite file, TensorFlow not being needed. Everybody gets this.
INSTALL_REQUIRES = [
    "ai-edge-litert>=1.4,<3",
    "numpy>=2.0,<3",
    "tokenizers>=0.21,<0.24",
    "charset-normalizer>=3.4.7,<4",
    "absl-py>=1.2,<3",
    "tqdm>=4.64,<5",
]
TRAIN = [
    "tensorflow>=2.19,<2.22",
    "keras>=3.12,<4",
    "safetensors>=0.4.3,<1",
    "pyarrow>=17,<27",
    "filelock>=3.12,<5",
]
TF_KERAS = ["tf-keras>=2.19,<2.22"]
HUB = ["huggingface_hub>=0.34,<3"]
# transformers narrows tokenizers to 0.21 and huggingface_hub to 0.
TEACHER = [
    *TRAIN, *TF_KERAS, *HUB,
    "transformers>=4.54.1,<4.55",
    "h5py>=3.11,<4",
    "scikit-learn>=1.5,<2",
]  # fmt: skip
# Extra → what it needs beyond that. kd_keras/common/packages.py says which part of the project needs which extra.
EXTRAS = {
    "litert": [],
    "train": TRAIN,
    "teacher": TEACHER,
    # There is no wheel of tensorflow-text for Windows.
    "text": [*TRAIN, "tensorflow-text>=2.19,<2.22; platform_system != 'Windows'"],
    "tfds": [*TRAIN, "tensorflow-datasets>=4.9.7,<5", "importlib_resources>=6.4,<8"],
    "augment": ["pyarrow>=17,<27", "HanTa>=1.1.2,<2"],
    "compress": [*TRAIN, *TF_KERAS, "tensorflow-model-optimization>=0.8.1,<0.9"],
    "plots": ["matplotlib>=3.9,<4", "tensorboard>=2.19,<2.22"],
    "export": [*TRAIN, *HUB, "flatbuffers>=24.3.25,<26"],
    "ray": [*TEACHER, "ray>=2.60,<3"],
}
EXTRAS["all"] = sorted({requirement for needs in EXTRAS.values() for requirement in needs})
# CUDA's libraries, several GB: not part of "all".
EXTRAS["gpu"] = ["tensorflow[and-cuda]>=2.19,<2.22"]

setup(
    name="kd_keras",
    version=version(),
    description="Distills BERT into BiLSTMs small enough for a phone, in TensorFlow and Keras.",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["kd_keras", "kd_keras.*"]),
    package_data={"kd_keras": ["**/*.txt", "**/*.json", "**/*.md"]},
    entry_points={"console_scripts": ["kd-keras=kd_keras.__main__:main"]},
    python_requires=">=3.11,<3.14",
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS,
)
