"""Names of labels: what cannot be one, and what is one but looks like a slip."""

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

# labels.txt has a name a line; what str.splitlines or a reader in C takes for the end of one.
_ENDS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0]")
# JSON's escapes can leave half a character (an emoji cut in two), which UTF-8 cannot hold.
HALF = re.compile("[\ud800-\udfff]")
_MISSING = {"nan", "none", "null", "nil", "na", "n/a", "<na>", "#n/a", "nat", "undefined"}
_MOST = 5


def label_fault(name: str) -> str | None:
    """Why ``name`` cannot be a label, as the end of a sentence; None where it can.

    >>> label_fault("so\\nso")
    'has a line break (U+000A), and labels.txt has one label a line'
    """
    if found := _ENDS.search(name):
        return f"has a line break (U+{ord(found[0]):04X}), and labels.txt has one label a line"
    if HALF.search(name):
        return "has half a character, which UTF-8 cannot hold"
    return None


def parse_labels(text: str, flag: str = "--labels") -> list[str]:
    """The names in ``--labels``, or another flag: commas between, quotes around a name that has one.

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
            f"{flag}={text}: {why}; expected names with commas between, and quotes around a name with a comma: "
            f"{flag}='\"a, b\",c'"
        ) from None
    return [name.strip() for name in names]


def check_labels(names: Iterable[str], flag: str = "--labels") -> None:
    """UserError where a name in ``flag`` cannot be a label."""
    for name in names:
        if fault := label_fault(name):
            raise UserError(f"{flag}: {tail(name)!r} {fault}; name it otherwise")


def doubtful(counts: Mapping[str, int], read: Callable[[str], object]) -> list[str]:
    """Notes on labels that look like slips: all are learned as they are.

    Args:
      counts: rows of each label as the file writes it, with the spaces at its ends.
      read: gives what a label is learned as.
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
    """Equal for names that differ in case, spaces, invisible characters, Unicode's form, or as numbers are written."""
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
