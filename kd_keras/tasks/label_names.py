"""Names of labels: which ones are impossible, and which ones look like mistakes."""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from kd_keras.common.errors import UserError
from kd_keras.common.files import tail
from kd_keras.tasks.tables import rows_in_words

# labels.txt has one name a line. str.splitlines, or a reader in C, takes these for line ends.
_ENDS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0]")
# JSON's escapes can leave half a character (a cut emoji), which UTF-8 cannot encode.
HALF = re.compile("[\ud800-\udfff]")
_MISSING = {"nan", "none", "null", "nil", "na", "n/a", "<na>", "#n/a", "nat", "undefined"}
_MOST = 5


def label_fault(name: str) -> str | None:
    """Why ``name`` cannot be a label, as the end of a sentence; None if it can.

    >>> label_fault("so\\nso")
    'has a line break (U+000A), and labels.txt has one label a line'
    """
    if found := _ENDS.search(name):
        return f"has a line break (U+{ord(found[0]):04X}), and labels.txt has one label a line"
    if HALF.search(name):
        return "has half a character, which UTF-8 cannot hold"
    return None


def parse_labels(text: str, flag: str = "--labels") -> list[str]:
    """The names in ``--labels``, or another flag: separated by commas, with quotes around a name that has a comma.

    >>> parse_labels('"a, b", c')
    ['a, b', 'c']

    Raises:
      UserError: a quote is not closed, or a name cannot be a label.
    """
    check_labels([text], flag)
    try:
        (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as e:
        why = "a quote is never closed" if "unexpected end" in str(e) else e
        raise UserError(
            f"{flag}={text}: {why}; expected names separated by commas, and quotes around a name with a comma: "
            f"{flag}='\"a, b\",c'"
        ) from None
    return [name.strip() for name in names]


def check_labels(names: Iterable[str], flag: str = "--labels") -> None:
    """Raises UserError if a name in ``flag`` cannot be a label."""
    for name in names:
        if fault := label_fault(name):
            raise UserError(f"{flag}: {tail(name)!r} {fault}; choose another name")


def doubtful(counts: Mapping[str, int], read: Callable[[str], object]) -> list[str]:
    """Notes on labels that look like mistakes. All are learned as they are.

    Args:
      counts: rows of each label as the file writes it, with spaces at its ends.
      read: returns the label that is learned.
    """
    notes = []
    spaced = Counter({name: n for name, n in counts.items() if name != name.strip()})
    if spaced:
        notes.append(
            f"{rows_in_words(spaced.total())} with spaces around the label, which are left out ({_some(spaced)})"
        )
    stripped: Counter[str] = Counter()
    for name, n in counts.items():
        stripped[name.strip()] += n
    alike: dict[object, Counter[str]] = defaultdict(Counter)
    for name, n in stripped.items():
        alike[_folded(name)][name] += n
    for group in alike.values():
        if len(group) > 1:
            many = len({read(name) for name in group})
            notes.append(f"{_some(group)} are alike, and are read as {'one label' if many == 1 else f'{many} labels'}")
    missing = Counter({name: n for name, n in stripped.items() if name.lower() in _MISSING})
    if missing:
        verb = "looks like a missing value, and is" if len(missing) == 1 else "look like missing values, and are"
        notes.append(f"{_some(missing)} {verb} learned as any other label")
    return notes


def _folded(name: str) -> object:
    """A key that is equal for names that differ only in case, spaces, invisible characters, Unicode form, or spelling
    of a number."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cc", "Mn") or c.isspace())
    plain = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", " ".join(plain.split()))
    try:
        number = float(plain)
    except ValueError:
        return unicodedata.normalize("NFKC", plain)
    return number if math.isfinite(number) else plain


def _some(counts: Counter[str]) -> str:
    shown = [f"{tail(name, 30)!r} ({n:,})" for name, n in counts.most_common(_MOST)]
    return ", ".join(shown) + (f" and {len(counts) - _MOST} more" if len(counts) > _MOST else "")
