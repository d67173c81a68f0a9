"""The encoding of text: what the first bytes say, and what to advise if the bytes are not as expected."""

from __future__ import annotations

import codecs
import re

from kd_keras.common.errors import UserError, did_you_mean

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COMMON = ("utf-8", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "cp1250", "cp1251", "koi8-r", "gb18030", "big5",
           "shift_jis", "euc-jp", "euc-kr")  # fmt: skip
# Python lists these as encodings, but no text file uses one.
_NO_FILE = ("undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "mbcs", "oem")
_KANA = re.compile("[\u3041-\u30ff]")


def check_encoding(name: str) -> None:
    """Raises UserError if ``name`` is neither "auto" nor an encoding that Python knows."""
    if name == "auto":
        return
    try:
        found = codecs.lookup(name)
        known = found._is_text_encoding and found.name.replace("_", "-") not in _NO_FILE
    except (LookupError, ValueError, UnicodeError):
        known = False
    if not known:
        raise UserError(
            f"--encoding={name}: expected auto or an encoding such as cp1252, utf-16-le, gb18030, shift_jis."
            f"{did_you_mean(name, _COMMON)}"
        )


def encoding_of(head: bytes, asked: str = "auto") -> tuple[str, bytes]:
    """The codec of a file that begins with ``head``, and its byte-order mark (or nothing).

    A mark overrides ``asked``. Without a mark, "auto" is UTF-8.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, mark
    name = codecs.lookup("utf-8" if asked == "auto" else asked).name
    if name in ("utf-16", "utf-32"):  # only a mark tells these two apart
        return (by_zeros(head) or f"{name}-le"), b""
    return name.replace("utf-8-sig", "utf-8"), b""


def wide(codec: str) -> bool:
    r"""Whether a line ends with more than the byte ``\n``, so that bytes cannot be cut into lines."""
    return "\n".encode(codec) != b"\n"


def by_zeros(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, found by the places of its zero bytes; None if it is neither."""
    head = head[: len(head) // 4 * 4][:4096]
    if not head:
        return None
    share = [head[n::4].count(0) * 4 / len(head) for n in range(4)]
    if share[0] > 0.9 and share[1] > 0.9:
        return "utf-32-be"
    if share[2] > 0.9 and share[3] > 0.9:
        return "utf-32-le"
    even, odd = (share[0] + share[2]) / 2, (share[1] + share[3]) / 2
    if max(even, odd) > 0.3 and min(even, odd) < 0.1:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None


def likely(sample: bytes) -> str | None:
    """The likely encoding of bytes that are not UTF-8; None if nothing is likely."""
    if b"\0" in sample:
        return by_zeros(sample)
    text = sample.decode("utf-8", "replace")
    strange = text.count("\ufffd")
    if sum(c > "\x7f" for c in text) > 5 * strange:  # UTF-8 with a fault
        return None
    high = sum(byte > 127 for byte in sample)
    alone = len(re.findall(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])", sample))
    if 2 * alone > high:  # accented letters among plain ones
        return "cp1252" if _fits(sample, "cp1252") else "latin-1"
    for name in ("shift_jis", "euc_jp"):
        text = _fits(sample, name)
        if text and 5 * len(_KANA.findall(text)) > sum(c > "\x7f" for c in text):
            return name
    from charset_normalizer import from_bytes  # imported here: it takes 0.1 s, and only an error needs it

    best = from_bytes(sample).best()
    return best.encoding if best else "cp1252"


def _fits(sample: bytes, name: str) -> str:
    """``sample`` decoded by ``name``, without a last character that is cut off; "" if it cannot be decoded."""
    try:
        return codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeError:
        return ""


def not_decoded(
    path: object, line: int, position: int | None, sample: bytes, codec: str, error: UnicodeError | None = None
) -> UserError:
    """The error for text that is not in its encoding, or that holds zero characters.

    Args:
      position: in the line, from 0. None if it is unknown; then the fault may be in a later line.
      sample: bytes of the file, from the fault on if its place is known.
      error: what the decoder raised; None if a zero character was found.
    """
    where = f"{path}, line {line}" + ("" if position is not None else " or after it")
    if error is None:
        what = f"holds a zero byte (position {(position or 0) + 1}), which no text has"
    else:
        byte = f"byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else str(error)
        what = f"not {codec.upper()} ({byte}{'' if position is None else f' at position {position + 1}'})"
    name = likely(sample)
    if name is None or name == codec:
        return UserError(f"{where}: {what}; is the file damaged, or no text? --encoding=NAME names another encoding")
    shown = _fits(_around(sample), name) or _fits(sample[:40], name)
    looks = f", which reads it as {' '.join(shown.split())[:40]!r}" if shown else ""
    return UserError(f"{where}: {what}; the bytes look like {name}{looks}: add --encoding={name}")


def _around(sample: bytes) -> bytes:
    """Some bytes from a little before the first one that is not ASCII."""
    at = next((n for n, byte in enumerate(sample) if byte > 127), 0)
    return sample[max(0, at - 16) : at + 24] if b"\0" not in sample else sample[:80]
