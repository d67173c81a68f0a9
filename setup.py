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


# Lower bound: what requirements.txt pins. Upper bound: the next version that may break (BUILD.md says which did).
INSTALL_REQUIRES = [
    "tensorflow>=2.21,<2.22",
    "tensorflow-text>=2.21.1,<2.22",
    "keras>=3.15.1,<4",
    "tf-keras>=2.21,<2.22",
    "transformers>=4.54.1,<4.55",
    "tokenizers>=0.21.4,<0.22",
    "safetensors>=0.8,<1",
    "h5py>=3.14,<4",
    "huggingface_hub>=0.36.2,<0.37",
    "tensorflow-datasets>=4.9.10,<5",
    "importlib_resources>=7.1,<8",
    "tensorflow-model-optimization>=0.8.1,<0.9",
    "absl-py>=1.4,<2",
    "ai-edge-litert>=2.3,<3",
    "flatbuffers>=25.12.19,<26",
    "HanTa>=1.2.1,<2",
    "charset-normalizer>=3.5.2,<4",
    "scikit-learn>=1.9,<2",
    "numpy>=2.4,<3",
    "pyarrow>=26,<27",
    "matplotlib>=3.11,<4",
    "tqdm>=4.70,<5",
    "tensorboard>=2.21,<2.22",
]

setup(
    name="kd_keras",
    version=version(),
    description="Distils BERT into BiLSTMs small enough for a phone, in TensorFlow and Keras.",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["kd_keras", "kd_keras.*"]),
    package_data={"kd_keras": ["**/*.txt", "**/*.json", "**/*.md"]},
    entry_points={"console_scripts": ["kd-keras=kd_keras.__main__:main"]},
    python_requires=">=3.11,<3.13",
    install_requires=INSTALL_REQUIRES,
    extras_require={"ray": ["ray>=2.60,<3"], "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"]},
)
