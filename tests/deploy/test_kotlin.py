"""What an Android app does to text and logits: the Kotlin of android/, by its twin, against the package's own code.

Where there is a Kotlin compiler the files themselves are compiled and run beside the twin. `make kotlin-check` compares
their tokenizers with the package on many more texts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import kotlin_twin as twin
import numpy as np
import pytest
from made_taggers import ODD, VOCAB

from kd_keras.deploy.words import word_windows
from kd_keras.text.tokenizers import UNK, WordPiece
from kd_keras.text.windows import windows

ROOT = Path(__file__).resolve().parents[2]
ANDROID = ROOT / "android"
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TEXTS = [
    *ODD,
    "a\tb c\u00a0d e\u2028f x\x00y z\ufffd",
    "don't co-operate, (really)! $5 <b> `x` a|b ~c^",
    "a" * 100 + " " + "a" * 101 + " é" + "x" * 99,
    "naïve Öland ÅÅ ß ff 𝔘 ǅ e\u0301 日本x東 〇 々 カナ 한국 ١٢ नमस्ते",
    "It's 3.14, l'Europe Obama's AT&T U.S. J. Smith Jean-Luc O'Neill's 東京 กา علی\u200cرضا 🇩🇪🇫🇷 \u0301a rock'n'roll's e.g. a.B 5:30.",
    "🙂🏽‍🚀 a\u00adb \U000f0000 \ud7ff",
]


def sentences() -> list[list[str]]:
    return [text.split(" ") for text in TEXTS if text]


def legal(path) -> bool:
    before = [0, *path]
    return all(t % 2 or t == 0 or b in (t, t - 1) for b, t in itertools.pairwise(before))


def test_pieces_are_the_tokenizers():
    tokenizer = WordPiece(VOCAB, 10_000, lowercase=False)
    mine, known = twin.WordPiece(VOCAB, 10_000, False), 0
    for row in sentences():
        some = word_windows(tokenizer, [row])
        each = [mine.pieces_of_word(word) for word in row]
        assert [p for word in each for p in word] == some.ids[0].tolist(), row
        assert np.cumsum([0, *map(len, each)])[:-1].tolist() == some.at[0].tolist(), row
        known += sum(VOCAB.index(UNK) not in word for word in each)
    assert known > 400


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_are_the_tokenizers(lowercase, truncation):
    texts = [*TEXTS, "[MASK] a[MASK]b [mask] [UNK]", "ΟΔΟΣ İ NAÏVE e\u0301", ""]
    letters = sorted({c for text in texts for each in (text, text.lower()) for c in each if not c.isspace()})
    vocab = ["[PAD]", "[UNK]", "[MASK]", *letters, *("##" + c for c in letters), "naive"]
    theirs = WordPiece(vocab, 9, lowercase=lowercase, truncation=truncation).encode(texts)
    mine = twin.WordPiece(vocab, 9, lowercase, truncation)
    assert [mine.ids(text) for text in texts] == [row.tolist() for row in theirs]


@pytest.mark.parametrize("room", [1, 2, 5, 12])
def test_windows_are_the_packages(room):
    draw = np.random.default_rng(room)
    for count in [0, 1, 2, *draw.integers(3, 60, 60).tolist()]:
        sizes = draw.integers(1, room + 1, count).tolist()
        mine = twin.windows(sizes, room)
        theirs = windows([[[7] * n for n in sizes]], room)
        assert [sum(sizes[a:b]) for a, b, _ in mine] == theirs.ids.lengths.tolist()
        assert [d for _, _, d in mine] == [theirs.word[i].tolist() for i in range(len(theirs))]
        at = [[sum(sizes[a:w]) for w in d] for a, _, d in mine]
        assert at == [theirs.at[i].tolist() for i in range(len(theirs))]


def test_tags_are_the_best_legal_ones():
    draw = np.random.default_rng(1)
    illegal = 0
    for _ in range(60):
        logits = draw.normal(size=(draw.integers(1, 6), 5))
        paths = [p for p in itertools.product(range(5), repeat=len(logits)) if legal(p)]
        best = max(paths, key=lambda p: sum(logits[i, t] for i, t in enumerate(p)))
        assert twin.tags(logits.tolist()) == list(best)
        illegal += not legal(logits.argmax(-1).tolist())
    assert illegal > 15 and twin.tags([]) == []


def test_entities_have_offsets_and_the_lowest_probability():
    text = "Ada  Lovelace, of St. Ives"
    spans = twin.words(text)
    assert [text[a:b] for a, b in spans] == ["Ada", "Lovelace", ",", "of", "St", ".", "Ives"]
    right = [3, 4, 0, 0, 1, 2, 2]
    logits = np.zeros((7, 5))
    logits[np.arange(7), right] = [3, 1, 2, 2, 2, 2, 2]
    found = twin.entities(spans, logits.tolist(), LABELS)
    assert [(kind, text[a:b]) for kind, a, b, _ in found] == [("PER", "Ada  Lovelace"), ("LOC", "St. Ives")]
    assert [s for *_, s in found] == pytest.approx([np.e / (np.e + 4), np.e**2 / (np.e**2 + 4)])


def test_a_whole_text_from_a_file(make_tagger_run):
    """The way of the app beside the runner's, on the same words, through a real file."""
    from made_taggers import tagged_rows

    from kd_keras.deploy.exporter import export
    from kd_keras.deploy.runner import Runner
    from kd_keras.deploy.settings import ExportSettings
    from kd_keras.deploy.texts import Texts
    from kd_keras.formats.format import EXPORTS

    folder, _ = make_tagger_run()
    name = "tflite_loop_float32"
    assert not export(
        folder, ExportSettings(), Texts([EXPORTS[name]], "made up", tagged_rows(["Ada said", "x"]), None)
    ).failures
    runner = Runner.load(folder, name)
    text = " ".join(TEXTS)
    spans = twin.words(text)
    logits = runner.tag_logits([[text[a:b] for a, b in spans]])[0]

    def answer(ids):
        return runner.student.answer({"ids": np.array([ids], np.int32)}).tolist()

    found = twin.entities_of(text, twin.WordPiece(VOCAB, 10_000, False), LABELS, runner.tokenizer.max_length, answer)
    assert len(found) > 50 and found == twin.entities(spans, logits.tolist(), LABELS)


def answer(ids):
    return [[float((p * 7 + len(ids) * 3 + i * i + t * t * 5) % 11) for t in range(5)] for i, p in enumerate(ids)]


def in_units(text: str, at: int) -> int:
    """UTF-16 units before character ``at``."""
    return len(text[:at].encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.slow
def test_the_apps_kotlin_is_its_twin(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ANDROID / "check"))
    import compiler

    if not compiler.command():
        pytest.skip("no Kotlin compiler: no kotlinc on the path, no KD_KERAS_KOTLINC, and none from make kotlin-check")
    main = Path(__file__).resolve().parents[1] / "data" / "TaggingMain.kt"
    jar = tmp_path / "tagger.jar"
    assert (
        compiler.compile_files([*(ANDROID / f"{name}.kt" for name in ("Words", "Tokenizers", "Tagging")), main], jar)
        == ""
    )
    units = [np.frombuffer(t.encode("utf-16-le"), np.uint16).tolist() for t in TEXTS]
    (tmp_path / "texts").write_text("\n".join(",".join(map(str, u)) for u in units))
    (tmp_path / "vocab").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    compiler.run(jar, "kdkeras.TaggingMainKt", *(str(tmp_path / name) for name in ("texts", "vocab", "said")))
    tokenizer, want = twin.WordPiece(VOCAB, 12, False), []
    for text in TEXTS:
        spans = [(in_units(text, a), in_units(text, b)) for a, b in twin.words(text)]
        found = twin.entities_of(text, tokenizer, LABELS, 12, answer)
        want += [
            "words " + " ".join(f"{a},{b}" for a, b in spans),
            "pieces " + " ".join(",".join(map(str, tokenizer.pieces_of_word(word))) for word in text.split(" ")),
            "entities " + " ".join(f"{k},{in_units(text, a)},{in_units(text, b)},{s:.6f}" for k, a, b, s in found),
        ]
    assert (tmp_path / "said").read_text(encoding="utf-8").splitlines() == want


FENCE = re.compile(r"```kotlin\n(.*?)```", re.DOTALL)


def strays(document: str, code: Sequence[str]) -> list[str]:
    """Kotlin in a document that stands in none of the files so: fenced, or lines that define a function or a class."""
    plain = [" ".join(text.split()) for text in code]
    blocks = [*FENCE.findall(document), *re.findall(r"^ {4}((?:fun|class|val) .*)$", document, re.MULTILINE)]
    return [block for block in blocks if not any(" ".join(block.split()) in text for text in plain)]


def test_documents_copy_no_kotlin_that_differs():
    code = [path.read_text(encoding="utf-8") for path in ANDROID.glob("*.kt")]
    pages = [ROOT / "README.md", ROOT / "BUILD.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    assert {page.name: found for page in pages if (found := strays(page.read_text(encoding="utf-8"), code))} == {}
    guide = (ROOT / "docs" / "android.md").read_text(encoding="utf-8")
    assert {path.name for path in ANDROID.glob("*.kt")} == set(re.findall(r"\(\.\./android/(\w+\.kt)\)", guide))


def test_a_copy_that_differs_is_found():
    code = ["fun cut(ids: List<Int>) =\n    ids.take(2)\n"]
    assert strays("```kotlin\nfun cut(ids: List<Int>) = ids.take(2)\n```", code) == []
    assert strays("```kotlin\nfun cut(ids: List<Int>) = ids.take(3)\n```", code) == [
        "fun cut(ids: List<Int>) = ids.take(3)\n"
    ]
    assert strays("as\n\n    fun plain(text: String) =\n", code) == ["fun plain(text: String) ="]
