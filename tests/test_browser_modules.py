"""The page's JavaScript beside the package whose rules it repeats; skipped without Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common.ragged import Ragged
from kd_keras.deploy.invented import SENTENCES, TEXTS
from kd_keras.metrics.entities import entities
from kd_keras.text.tokenizers import WordPiece, Words
from kd_keras.text.truncation import TRUNCATIONS
from kd_keras.text.windows import windows
from kd_keras.text.words import split_words

BROWSER = Path(__file__).resolve().parents[1] / "browser"
ODD = (
    "",
    " \u200b\x1c",
    "It's O'Neill's l'Europe dell\u2019arte qu'il don't 'tis rock'n'roll",
    "U.S. J. Smith e.g. 3.14 12:30 1,000 AT&T Jean-Luc U.S.A",
    "👩🏽\u200d🚀 🇳🇴🇸🇪🇩 \u0301a 한국어 ＡＢＣ、ﾊﾝｶｸ ｡ กำลัง ខ្មែរ \U00020001",
    "a\u200e b\u200fc \u2067שלום\u2069. \u202aAnn\u202c\u061c",
    "İstanbul ΔΟΣ Straße naïve\ufffd\ue000 [MASK] [mask] [UNK] a\x00b",
    f"{'x' * 100} {'x' * 101}",
)
TEXT = [*SENTENCES, *TEXTS, *ODD, " ".join(SENTENCES)]

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="no node on the PATH")


def node(body: str, given) -> object:
    """What ``body`` makes of ``given``; every export of the modules is in reach."""
    names = {"words": "splitWords", "text": "cut, forMediaPipe, tokenizerOf", "tagging": "entities, tags, windows"}
    head = "".join(f'import {{ {n} }} from "{(BROWSER / m).as_uri()}.js";\n' for m, n in names.items())
    code = f'{head}import {{ readFileSync }} from "node:fs";\nconst given = JSON.parse(readFileSync(0, "utf8"));\n'
    run = subprocess.run(
        ["node", "--input-type=module", "-e", f"{code}console.log(JSON.stringify({body}));"],
        input=json.dumps(given), capture_output=True, text=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_words():
    found = node("given.map(text => splitWords(Array.from(text)))", TEXT)
    assert found == [[list(word) for word in split_words(text)] for text in TEXT]


@pytest.mark.parametrize("kind, lowercase, more", [
    (WordPiece, True, {}),
    (WordPiece, False, {}),
    (WordPiece, True, {"strip_accents": False}),
    (WordPiece, False, {"strip_accents": True, "tokenize_chinese_chars": False}),
    (Words, True, {}),
])  # fmt: skip
def test_pieces(kind, lowercase, more):
    letters = sorted({c for text in TEXT for c in text + text.lower() if c.isalnum()})
    vocab = ["[PAD]", "[UNK]", "[MASK]", ".", ",", *letters[::2], *(f"##{c}" for c in letters), "x", "good", "##ing"]
    for length, truncation in ((1000, "head"), *((9, how) for how in TRUNCATIONS)):
        tokenizer = kind(vocab, length, lowercase, truncation=truncation, **more)
        settings = {"kind": kind.kind, "lowercase": lowercase, **more}
        given = {"texts": TEXT, "vocab": vocab, "settings": settings, "length": length, "how": truncation}
        body = "given.texts.map(text => cut(tokenizerOf(given.vocab, given.settings).ofText(text), given.length, given.how))"
        found, want = node(body, given), tokenizer.encode(TEXT)
        assert [[p["id"] for p in pieces] for pieces in found] == [want[n].tolist() for n in range(len(TEXT))]
        assert all(p["unknown"] == (p["id"] == 1) for pieces in found for p in pieces)


def test_a_word_has_a_piece_at_least():
    body = 'given.map(word => tokenizerOf(["[PAD]", "[UNK]", "a"], { kind: "wordpiece" }).ofWord(word).map(p => p.id))'
    assert node(body, ["a", "\u200c", ""]) == [[2], [1], [1]]


def test_windows():
    draw = np.random.default_rng(5)
    cases = [draw.integers(1, 7, size=n).tolist() for n in range(40)]
    found = node("given.map(sizes => windows(sizes, 12))", cases)
    for sizes, each in zip(cases, found, strict=True):
        want = windows([[[9] * size for size in sizes]], room=12)
        assert [w["decides"] for w in each] == [want.word[n].tolist() for n in range(len(want))]
        assert [sum(sizes[w["first"] : w["last"]]) for w in each] == want.ids.lengths.tolist()


def test_entities():
    draw = np.random.default_rng(6)
    types = ["LOC", "PER"]
    labels = ["O", *(f"{p}-{t}" for t in types for p in "BI")]
    logits = [draw.normal(scale=2, size=(n, 5)) for n in range(30)]
    words = [[(3 * i, 3 * i + 2) for i in range(n)] for n in range(30)]
    texts = ["ab " * n for n in range(30)]
    want = entities(texts, words, Ragged.of(logits), types)
    body = "given.logits.map((logits, n) => entities(given.words[n], logits, given.labels))"
    found = node(body, {"logits": [x.tolist() for x in logits], "words": words, "labels": labels})
    assert sum(map(len, want)) > 100
    for a, b in zip(found, want, strict=True):
        assert [(e["type"], e["start"], e["end"]) for e in a] == [(e["type"], e["start"], e["end"]) for e in b]
        np.testing.assert_allclose([e["score"] for e in a], [e["score"] for e in b], rtol=1e-9)


def test_mediapipe_is_given_plain_text():
    wordpiece, words = {"kind": "wordpiece", "lowercase": True}, {"kind": "words", "lowercase": True}
    body = "given.map(([text, settings]) => forMediaPipe(text, settings))"
    assert node(body, [["Zoë\u00a0\u200dÉTÉ ΔΟΣ", wordpiece], ["Zoë ÉTÉ", words]]) == ["zoe ete δοσ", "zoë été"]
