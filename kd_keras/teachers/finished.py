"""Finds folders of finished teachers by their key, and links them."""

from __future__ import annotations

from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.tasks import Task
from kd_keras.teachers.checkpoints import MANIFEST, Checkpoint, from_folder


def reads(task: Task) -> dict[str, list[str]]:
    """What teacher.json says of the texts: the columns of a pair. Nothing of single texts."""
    return {"pair": task.columns.pair()} if task.is_pair else {}


def finished(place: Path, key: dict) -> Checkpoint | None:
    """The teacher of ``key`` in the folder ``place``, if it is there. UserError if its weights are damaged."""
    if not (place / MANIFEST).is_file():
        return None
    found = from_folder(str(place), place)
    manifest = found.manifest()
    if not manifest or manifest.get("key") != key:
        return None
    if files.sha256_file(found.weights) != manifest["weights_sha256"]:
        raise UserError(f"{found.weights} does not match {MANIFEST}, so it is damaged; delete the folder")
    return found


def link_folder(source: Path, target: Path) -> None:
    """Links all files of ``source`` into ``target``, or none."""
    with files.atomic_dir(target) as temp:
        for f in source.iterdir():
            if f.is_file():
                files.link_or_copy(f, temp / f.name)
