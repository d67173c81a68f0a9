"""The tensors of weight files, found by their headers: safetensors, whole or in shards, and Keras' h5. No pickle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.reading import refuse_lfs_pointer

INDEX = "model.safetensors.index.json"
# Levels that torch's wrappers insert into names, and the last level of a name in other spellings.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_SPELLINGS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight", "embedding": "weight",
              "scale": "weight"}  # fmt: skip
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Tensor:
    """A tensor called ``name``, in ``file`` at ``place``. ``shape`` is PyTorch's: dense is (outputs, inputs)."""

    file: Path
    name: str
    place: str
    shape: tuple[int, ...]
    is_float: bool
    transposed: bool


def canonical(name: str) -> tuple[str, bool]:
    """A tensor's name with dots, without wrappers, in PyTorch's spelling, and whether the tensor is transposed.

    >>> canonical("module.bert/encoder/layer_._0/output/dense/kernel:0")
    ('bert.encoder.layer.0.output.dense.weight', True)
    """
    plain = re.sub(r"\blayer_(?:\._)?(\d+)", r"layer.\1", name.removesuffix(":0"))
    plain = re.sub(r"_\._(\d+)", r".\1", plain)
    parts = [p for p in re.split(r"[/.]", plain) if p not in _WRAPPERS]
    last = parts[-1] if parts else ""
    return ".".join([*parts[:-1], _SPELLINGS.get(last, last)]), last == "kernel"


def files_of(file: Path, what: str) -> list[Path]:
    """The files that hold the tensors: the shards of an index, or ``file`` itself.

    Raises:
      UserError: the index is invalid, or names a file that is missing or elsewhere.
    """
    if file.name != INDEX:
        return [file]
    shards = shards_named(file, what)
    if missing := next((s for s in shards if not (file.parent / s).is_file()), None):
        raise UserError(f"{what}: {file} names {missing}, which does not exist; get all {len(shards)} shards")
    return [file.parent / shard for shard in shards]


def shards_named(file: Path, what: str) -> list[str]:
    """Names of the files in an index, all in its own folder. UserError if it is no index."""
    index = files.read_json(file)
    named = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(named, dict) or not named or not all(isinstance(f, str) for f in named.values()):
        raise UserError(f"{what}: {file}: expected a weight_map of tensors and files")
    shards = sorted(set(named.values()))
    for shard in shards:
        if shard != Path(shard).name or "\\" in shard or shard in (".", ".."):
            raise UserError(f"{what}: {file} names {shard!r}; expected a file in the same folder")
    return shards


def tensors_in(what: str, file: Path) -> list[Tensor]:
    """All tensors of the files, from their headers."""
    found = []
    for part in files_of(file, what):
        refuse_lfs_pointer(part)
        try:
            found += _of_h5(part) if _is_h5(part) else _of_safetensors(part)
        except Exception as e:  # the libraries raise their own kinds
            raise UserError(
                f"{what}: {part} cannot be loaded ({one_line(e)}); it is damaged or cut short ({part.stat().st_size:,} "
                "bytes): get it again"
            ) from e
    return found


def _is_h5(file: Path) -> bool:
    with open(file, "rb") as f:
        return f.read(4) == b"\x89HDF"


def _of_safetensors(file: Path) -> list[Tensor]:
    from safetensors import safe_open

    found = []
    with safe_open(file, "np") as f:
        names = list(f.keys())
        places = {name: name for name in names}
        # A tied tensor is saved once. The metadata say under which name.
        places |= {new: old for new, old in (f.metadata() or {}).items() if old in places and new not in places}
        for name, place in places.items():
            part = f.get_slice(place)
            transposed = canonical(name)[1]
            shape = tuple(part.get_shape())
            shape = shape[::-1] if transposed else shape
            found.append(Tensor(file, name, place, shape, part.get_dtype() in _FLOATS, transposed))
    return found


def _of_h5(file: Path) -> list[Tensor]:
    import h5py

    found: list[Tensor] = []
    with h5py.File(file) as f:
        root = f.get("model_weights", f)
        in_layers = "layer_names" in root.attrs  # Keras has a group for each layer, which holds whole names

        def visit(name: str, value: object) -> None:
            if isinstance(value, h5py.Dataset):
                called = name.split("/", 1)[-1] if in_layers else name
                transposed = canonical(called)[1]
                shape = (value.shape or ())[:: -1 if transposed else 1]
                found.append(Tensor(file, called, value.name, shape, value.dtype.kind == "f", transposed))

        root.visititems(visit)
    return found


def read(tensor: Tensor) -> np.ndarray:
    """The array as it is stored."""
    if _is_h5(tensor.file):
        import h5py

        with h5py.File(tensor.file) as f:
            return f[tensor.place][()]
    from safetensors import safe_open

    with safe_open(tensor.file, "np") as f:  # NumPy knows bfloat16 once TensorFlow is imported
        return f.get_tensor(tensor.place)


def one_line(e: Exception) -> str:
    """The first line of an error."""
    return (str(e).strip() or type(e).__name__).splitlines()[0]
