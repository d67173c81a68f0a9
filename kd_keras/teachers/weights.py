"""A checkpoint's weights under its encoder's own names, whole or refused. Imports no TensorFlow.

The names are those of transformers' PyTorch model without a prefix ("encoder.layer.0.output.dense.weight"). They are
found behind any prefix, also in the spelling of TensorFlow and Flax. Only a file's header is read to find them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.teachers.families import BERT, CLASSIFIER, Family, family_of
from kd_keras.teachers.weight_files import INDEX, Tensor, canonical, one_line, read, tensors_in

WEIGHTS = ("model.safetensors", INDEX, "tf_model.h5")
# Constants of the model, which some versions save.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
# Encoders with BERT's names but other arithmetic: positions begin elsewhere, or the input differs.
_OTHERS = ("roberta", "xlm_roberta", "xlmroberta", "camembert", "electra", "deberta", "layoutlm", "ernie", "mpnet")


@dataclass(frozen=True)
class Weights:
    """An encoder, and its classifier if there is one.

    Attributes:
      tensors: the encoder's own name → its place in the file.
      prefix: what the file has before the encoder's names.
      extra: names in the file that are not read.
      of_words: whether its classifier is for words, as config.json says.
      family: the kind of encoder.
    """

    tensors: Mapping[str, Tensor]
    prefix: str
    extra: Sequence[str]
    of_words: bool = False
    family: Family = BERT

    @property
    def rows(self) -> dict[str, int]:
        """vocab_size, max_position_embeddings and perhaps type_vocab_size, from the shapes of the matrices."""
        return {key: self.tensors[name].shape[0] for key, name in self.family.rows.items()}

    @property
    def classes(self) -> int | None:
        """Outputs of the classifier of texts. None if there is none."""
        return None if self.of_words else self._outputs

    @property
    def tags(self) -> int | None:
        """Outputs of the classifier of words. None if there is none."""
        return self._outputs if self.of_words else None

    @property
    def _outputs(self) -> int | None:
        found = self.tensors.get(_linear(self.family, self.of_words)[0])
        return found.shape[0] if found else None

    @property
    def has_pooler(self) -> bool:
        """Whether the layer between [CLS] and the classifier of texts exists: BERT's pooler, or another one."""
        return self.family.features[0] in self.tensors

    def arrays(self) -> dict[str, np.ndarray]:
        """The encoder's own name → float32 array of ``shape``.

        Raises:
          UserError: a number is not finite, or the file cannot be read to its end.
        """
        out = {}
        for name, tensor in self.tensors.items():
            try:
                array = read(tensor)
            except Exception as e:
                raise UserError(
                    f"{tensor.file}: {tensor.name} cannot be read ({one_line(e)}); get the file again"
                ) from e
            with np.errstate(over="ignore"):
                array = np.asarray(array, np.float32)
            if not np.isfinite(array).all():
                bad = int((~np.isfinite(array)).sum())
                raise UserError(
                    f"{tensor.file}: {bad:,} of {array.size:,} numbers of {tensor.name} are not finite, because "
                    "training failed or the file is damaged; use another checkpoint"
                )
            out[name] = array.T if tensor.transposed else array
        return out


def find_weights(what: str, folder: Path, config: Mapping) -> Weights:
    """The weights in ``folder``, found by their headers.

    Args:
      what: for errors: "--teacher=NAME".
      folder: the checkpoint's.
      config: its config.json, which has layers and widths.

    Raises:
      UserError: there are none; or tensors are missing, unexpected, of another shape, or not BERT's.
    """
    file = next((folder / w for w in WEIGHTS if (folder / w).is_file()), None)
    if file is None:
        pickled = " (pytorch_model.bin is a pickle, which could run code; convert it to safetensors)"
        has_pickle = any(folder.glob("pytorch_model*.bin"))
        raise UserError(f"{what}: {folder} has none of {', '.join(WEIGHTS)}{pickled if has_pickle else ''}")
    found: dict[str, Tensor] = {}
    for tensor in tensors_in(what, file):
        name = canonical(tensor.name)[0]
        if name in found:
            raise UserError(f"{what}: {file} has {name} twice, as {found[name].name} and {tensor.name}")
        found[name] = tensor
    return _matched(what, file, found, config)


def weights_file(folder: Path) -> Path:
    """The first of ``WEIGHTS`` that exists."""
    return next(folder / w for w in WEIGHTS if (folder / w).is_file())


def _linear(family: Family, of_words: bool) -> tuple[str, str]:
    return CLASSIFIER if of_words else family.linear


def _matched(what: str, file: Path, found: Mapping[str, Tensor], config: Mapping) -> Weights:
    family = family_of(config)
    sizes = family.sizes(config)
    shapes, width = family.shapes(sizes), sizes["hidden_size"]
    prefix = _prefix(what, file, found, config)
    read = family.features if set(family.features) <= set(family.pooler) else ()  # the encoder's own pooler
    taken = {name: found[prefix + name] for name in (*shapes, *read) if prefix + name in found}
    known = {*taken, *_BUFFERS, *family.pooler}
    inside = tuple(f"{prefix}{part}." for part in dict.fromkeys(name.split(".")[0] for name in (*shapes, "pooler.")))
    problems = {
        "missing": [name for name in shapes if name not in taken],
        "unexpected": [n for n in found if n.startswith(inside) and n.removeprefix(prefix) not in known],
    }
    head = "".join(_architectures(config))
    of_words, other_head = "ForTokenClassification" in head, "ForMultipleChoice" in head
    linear = _linear(family, of_words)
    behind = () if of_words or read else family.features
    outer = None if other_head else _before_classifier(prefix, found, linear)
    if outer is not None:
        taken |= {name: found[outer + name] for name in (*behind, *linear) if outer + name in found}
    for pair in (family.features, linear):
        if any(name in taken for name in pair):
            problems["missing"] += [name for name in pair if name not in taken]
    if behind and linear[0] in taken and behind[0] not in taken:
        problems["missing"] += behind
    classes = taken[linear[0]].shape[:1] if linear[0] in taken else (None,)
    wanted = shapes | dict(
        zip(family.features + linear, ((width, width), (width,), (*classes, width), classes), strict=True)
    )
    problems["of another shape"] = [
        f"{name} {list(t.shape)} instead of {['any' if n is None else n for n in wanted[name]]}"
        for name, t in taken.items() if not _fits(t.shape, wanted[name])
    ]  # fmt: skip
    problems["no floating-point numbers"] = [name for name, t in taken.items() if not t.is_float]
    if said := [f"{kind}: {_some(names)}" for kind, names in problems.items() if names]:
        shown = f" behind {prefix!r}" if prefix else ""
        raise UserError(
            f"{what}: {file} is not the {family.shown} that config.json describes{shown}: {'; '.join(said)}. Use a "
            "checkpoint whose weights and config.json belong together"
        )
    used = {t.name for t in taken.values()}
    extra = [t.name for n, t in found.items() if t.name not in used and n.removeprefix(prefix) not in _BUFFERS]
    return Weights(taken, prefix, extra, of_words, family)


def _prefix(what: str, file: Path, found: Mapping[str, Tensor], config: Mapping) -> str:
    """The prefix of most of the encoder's names."""
    family = family_of(config)
    shapes = family.shapes(family.sizes(config))
    votes = Counter(
        name[: -len(own)] for name in found for own in _endings(name) if own in shapes
    )  # fmt: skip
    if not votes:
        raise UserError(f"{what}: {file} has none of {family.shown}'s tensors; it has {_some(list(found))}")
    (best, _), *others = votes.most_common()
    if rival := next((p for p, n in others if n == len(shapes)), None):
        raise UserError(f"{what}: {file} has two encoders, behind {best!r} and {rival!r}; save only one")
    levels = [*best.split("."), *(re.sub(r"^TF|^Flax|For\w+$|Model$", "", a).lower() for a in _architectures(config))]
    if other := next((level for level in levels if level in _OTHERS and level not in family.called), None):
        raise UserError(f"{what}: {file} and config.json are of {other}; expected {family.shown}")
    return best


def _endings(name: str) -> Iterator[str]:
    """The name, then the name without its first level, and so on."""
    yield name
    for at in re.finditer(r"\.", name):
        yield name[at.end() :]


def _before_classifier(prefix: str, found: Mapping[str, Tensor], linear: Sequence[str]) -> str | None:
    """The prefix of the classifier: the encoder's, or that without its last levels."""
    levels = prefix.split(".")[:-1]
    outers = ("".join(f"{level}." for level in levels[:n]) for n in range(len(levels), -1, -1))
    return next((outer for outer in outers if any(outer + name in found for name in linear)), None)


def _architectures(config: Mapping) -> list[str]:
    said = config.get("architectures")
    return [str(a) for a in said] if isinstance(said, list) else []


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, n) and n > 0 for n, w in zip(shape, wanted, strict=True))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")
