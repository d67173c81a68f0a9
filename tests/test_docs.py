"""Every command that the documents show exists, with the flags and the kind of values that they show; every link resolves."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
# Of saved_models only what is committed: whoever trained has runs of their own there, with reports and cards.
CARDS = ("saved_models/*.md",) + tuple(
    f"{line[2:]}**/*.md"
    for line in (ROOT / ".gitignore").read_text().splitlines()
    if line.startswith("!/saved_models/")
)
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", *CARDS, "flags/*.txt", "browser/*.html")
    for path in ROOT.glob(pattern)
)
LINKED = sorted(
    path
    for pattern in ("*.md", "[!.]*/*.md", "docs/**/*.md", *CARDS, "kd_keras/**/*.md")
    for path in set(ROOT.glob(pattern))
)
# Stands for something: "…", FILE, RUN/tflite, [--seeds=N], <name>.
STANDS_FOR = re.compile(r"…|\.\.\.|^[A-Z]$|[A-Z]{2,}|[\[\]<>]")

CHECK = """
import importlib, json, sys
from absl import flags
importlib.import_module(sys.argv[1])
known, wrong = flags.FLAGS, []
for where, name, value in json.load(sys.stdin):
    plain = name if name in known else name.removeprefix("no")
    if plain not in known or plain != name and not known[plain].boolean:
        wrong.append(f"{where}: --{name} is no flag")
    elif value is not None:
        try:
            known[plain].parser.parse(value)
        except ValueError as e:
            wrong.append(f"{where}: --{name}={value}: {e}")
print(json.dumps(wrong))
"""


def commands(text: str) -> list[tuple[int, str, list[tuple[str, str | None]]]]:
    """Line, verb and flags of each ``python -m kd_keras.VERB …``; a backslash at the end of a line continues it."""
    found = []
    for match in re.finditer(r"python -m kd_keras\.(\w+)((?:\\\n|[^\n`|;#])*)", text):
        given = re.findall(r"""\s--([a-z]\w*)(?:=("[^"]*"|'[^']*'|\S*))?""", match[2])
        pairs = [(name, value.strip("\"'") or None) for name, value in given]
        found.append((text.count("\n", 0, match.start()) + 1, match[1], pairs))
    return found


def shown() -> dict[str, list[tuple[str, str, str | None]]]:
    """Verb → (page and line, flag, value or None) for all pages."""
    out = defaultdict(list)
    for page in PAGES:
        for line, verb, given in commands(page.read_text(encoding="utf-8")):
            out[verb] += []
            for name, value in given:
                if name == "flagfile":  # absl's own
                    assert STANDS_FOR.search(value) or (ROOT / value).is_file(), f"{page}:{line}: {value}"
                    continue
                plain = value and not STANDS_FOR.search(value)
                out[verb].append((f"{page.relative_to(ROOT)}:{line}", name, value if plain else None))
    return out


SHOWN = shown()


def test_commands_are_found() -> None:
    text = (
        "see `python -m kd_keras.train --task=sst2`, or\npython -m kd_keras.predict \\\n  --model='a b' --nobar # why\n"
    )
    assert commands(text) == [(1, "train", [("task", "sst2")]), (2, "predict", [("model", "a b"), ("nobar", None)])]
    assert {"train", "export", "predict", "evaluate", "benchmark", "pretrain", "label"} <= set(SHOWN)


@pytest.mark.parametrize("verb", sorted(SHOWN))
def test_flags_that_are_shown_are_there(verb: str) -> None:
    assert faults(verb, SHOWN[verb]) == []


def test_a_flag_that_is_not_there_is_found() -> None:
    asked = [
        ("page:1", "task", "sst2"),
        ("page:2", "sedes", "3"),
        ("page:3", "seeds", "three"),
        ("page:4", "notask", None),
    ]
    assert [w.split(": ")[0] for w in faults("train", asked)] == ["page:2", "page:3", "page:4"]


def faults(verb: str, asked: list[tuple[str, str, str | None]]) -> list[str]:
    inside = f"kd_keras.{verb}.__main__" if (ROOT / "kd_keras" / verb).is_dir() else f"kd_keras.{verb}"
    done = subprocess.run(
        [sys.executable, "-c", CHECK, inside], input=json.dumps(asked), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def python_blocks() -> list:
    """Each ```python block of the pages, under its page and line."""
    found = []
    for page in (p for p in PAGES if p.suffix == ".md"):
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            name = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append(pytest.param(match[1], id=name))
    return found


@pytest.mark.parametrize("code", python_blocks())
def test_python_that_is_shown_runs(code: str, tmp_path: Path) -> None:
    place = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=place)
    assert done.returncode == 0, done.stderr[-2000:]


def test_python_that_is_shown_is_found() -> None:
    assert {p.id.partition(":")[0] for p in python_blocks()} >= {
        "docs/guide/notebooks.md",
        "docs/guide/given-signals.md",
    }


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings; a heading that comes again gets a number."""
    tokens, found = MarkdownIt().parse(text), set()
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(t.content for t in inline.children)
            slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
            found.add(next(a for n in itertools.count() if (a := f"{slug}-{n}" if n else slug) not in found))
    return found


def links(text: str) -> list[str]:
    """Where a page's links and images lead, outside of code."""

    def of(tokens: list[Token]) -> Iterator[str]:
        for token in tokens:
            if where := token.attrGet("href") or token.attrGet("src"):
                yield unquote(where)
            yield from of(token.children or [])

    return [*of(MarkdownIt().enable("table").parse(text))]


def broken(page: Path) -> list[str]:
    """The links of ``page`` to a file that is not there, or to an anchor that its page does not have."""
    wrong = []
    for link in links(page.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", place):  # https:, mailto:
            continue
        to = page.parent / place if place else page
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to.read_text(encoding="utf-8"))):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", [str(p.relative_to(ROOT)) for p in LINKED])
def test_links_resolve(page: str) -> None:
    assert broken(ROOT / page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "to.md").write_text("# A title: `train.py`, it's\n\n## Again\n\n## Again\n")
    good = ["to.md", "to.md#a-title-trainpy-its", "to.md#again-1", "#here", "https://example.org/x#y"]
    bad = ["gone.md", "to.md#gone", "to.md#again-2", "#there"]
    lines = [f"| [a]({link}) |" for link in [*good, *bad]]
    (tmp_path / "from.md").write_text(
        "\n".join(
            ["# Here", "", "| a |", "| --- |", *lines, "", "`[code](gone)` ![image](gone.png)", "", "    [code](gone)"]
        )
    )
    assert broken(tmp_path / "from.md") == [*bad, "gone.png"]


def sentences(page: Path) -> list[list[str]]:
    """Words of each sentence outside tables, headings and code; inline code and a link count as one word."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [
        line for line in text.splitlines() if not re.match(r"\s*(\||#|<!--)|    ", line) or re.match(r"\s*[-*] ", line)
    ]
    text = "\n".join(re.sub(r"^\s*(?:[-*]|\d+\.) ", "\n\n", line) for line in lines)
    text = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", "x", text)
    parts = [part for block in re.split(r"\n\s*\n", text) for part in re.split(r"(?<=[.:!?])\s+", block)]
    return [words for part in parts if len(words := part.split()) > 1]


def test_sentences_are_short() -> None:
    pages = [p for p in PAGES if p.suffix == ".md" and "saved_models" not in p.parts]
    lengths = sorted(len(words) for page in pages for words in sentences(page))
    assert len(lengths) > 1000
    assert lengths[len(lengths) // 2] <= 14 and lengths[int(0.9 * len(lengths))] <= 25
