"""Finds a checkpoint by its name on the model hub. Its files are in the hub's own cache, or are downloaded."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from kd_keras.common.errors import UserError
from kd_keras.teachers.tokenizer_files import BACKEND, OPTIONAL
from kd_keras.teachers.weight_files import INDEX, shards_named
from kd_keras.teachers.weights import WEIGHTS, weights_file

_HUB = ("huggingface.co", 443)
# What a sentence encoder says of its vector.
POOLING_FILE = "1_Pooling/config.json"
# A checkpoint has one of these.
_VOCABULARY = ("vocab.txt", BACKEND)


def reachable(address: tuple[str, int], seconds: float = 3.0) -> bool:
    """Whether a TCP connection opens in time. A name server that hangs counts as no."""
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


def folder_of(name: str, advice: str, flag: str = "--teacher") -> Path:
    """The folder of the checkpoint called ``name``. UserError, with ``advice``, if the hub cannot be reached."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = all(
        any(isinstance(try_to_load_from_cache(name, f), str) for f in some)
        for some in (("config.json",), _VOCABULARY, WEIGHTS)
    )
    if not cached and not reachable(_HUB):
        raise UserError(
            f"{flag}={name}: is not a folder here and not in the hub's local cache, and the hub cannot be reached. "
            f"{advice}"
        )
    fetch = functools.partial(_download, hf_hub_download, flag, name, local=cached)
    folder = fetch(("config.json",), optional=False)
    for file in (*OPTIONAL, POOLING_FILE):
        fetch((file,), optional=True)
    fetch(_VOCABULARY, optional=False)
    fetch(WEIGHTS, optional=False)
    assert folder is not None
    index = folder / INDEX
    if index.is_file() and weights_file(folder) == index:
        for shard in shards_named(index, f"{flag}={name}"):  # a download may have ended between two of them
            fetch((shard,), optional=False, local=isinstance(try_to_load_from_cache(name, shard), str))
    return folder


def _download(
    fetch: Callable, flag: str, repo: str, names: tuple[str, ...], optional: bool, local: bool
) -> Path | None:
    last: Exception | None = None
    for file in names:
        try:
            return Path(fetch(repo, file, local_files_only=local)).parent
        except Exception as e:  # the hub's client raises a dozen kinds
            last = e
    if optional:
        return None
    reason = (str(last).strip() or type(last).__name__).splitlines()[0]
    raise UserError(f"{flag}={repo}: {' or '.join(names)} cannot be downloaded from the hub ({reason})")
