"""How android/check/check.py chooses texts and judges; the compiler itself is `make kotlin-check`."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest

from kd_keras.text.tokenizers import WordPiece

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "android" / "check"))
    import check

    yield check
    for name in ("check", "compiler", "texts"):
        sys.modules.pop(name)


def test_odd_strings_are_odd_and_the_same_each_time(check):
    odd = check.texts.odd(2000)
    assert odd == check.texts.odd(2000) and odd != check.texts.odd(2000, seed=2)
    kinds = {unicodedata.category(c) for text in odd for c in text}
    assert {"Cc", "Cf", "Co", "Mn", "Lo", "Lu", "So", "Nd", "Zs"} <= kinds
    assert any(len(word) > 100 for text in odd for word in text.split()) and any("\U0001f469" in t for t in odd)


def test_the_characters_are_all_of_small_scripts_and_some_of_large_ones(check):
    some = check.texts.characters()
    known = {c for c in some if unicodedata.category(c) not in ("Cn", "Co")}
    assert known >= {chr(c) for c in range(1, 0x3400) if unicodedata.category(chr(c)) not in ("Cn", "Co")}
    assert 30_000 < len(some) == len(set(some)) < 60_000 and len(known) < len(some) - 5_000


def test_a_text_that_differs_is_found(check):
    tokenizer = WordPiece(["[PAD]", "[UNK]", "[MASK]", "a", "b"], 4)
    assert check.differing(tokenizer, ["a b", "b", ""], [[3, 4], [3], []]) == ["b"]


def test_the_cards_kotlin_is_taken_whole(check):
    assert check.fenced(check.tagger_card.KOTLIN).startswith("Tagger(context, room = 64).use { tagger ->\n")
    assert 'createFromFile(context, "dynamic.tflite")' in check.fenced(check.encoder_card.KOTLIN)


def test_without_a_compiler_it_says_why(check, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(check.compiler, "JARS", tmp_path)
    monkeypatch.setattr(check.compiler.shutil, "which", lambda name: None)
    monkeypatch.delenv("KD_KERAS_KOTLINC", raising=False)
    monkeypatch.setattr(sys, "argv", ["check.py"])
    assert check.main() == 0
    assert capsys.readouterr().out.startswith("kotlin-check skipped: no Kotlin compiler; on Debian")


def test_the_compiler_is_pinned_by_its_hash():
    text = (ROOT / "requirements-kotlin.txt").read_text(encoding="utf-8")
    assert re.search(r"^kotlin-jupyter-kernel==\S+ --hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert "--only-binary :all:" in text
