"""What an Android app does to words and logits: the guide's Kotlin, by its twin, against the package's own code.

Where there is a Kotlin compiler (kotlinc on the path, or KD_KERAS_KOTLINC names its command) the guide's own lines are
compiled and run beside the twin.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import kotlin_twin as twin
import numpy as np
import pytest
from made_taggers import ODD, VOCAB

from kd_keras.deploy.words import word_windows
from kd_keras.text.tokenizers import UNK, WordPiece
from kd_keras.text.windows import windows

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "android-tagger.md"
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TEXTS = [
    *ODD,
    "a\tb c\u00a0d e\u2028f x\x00y z\ufffd",
    "don't co-operate, (really)! $5 <b> `x` a|b ~c^",
    "a" * 100 + " " + "a" * 101 + " é" + "x" * 99,
    "naïve Öland ÅÅ ß ff 𝔘 ǅ e\u0301 日本x東 〇 々 カナ 한국 ١٢ नमस्ते",
    "🙂🏽‍🚀 a\u00adb \U000f0000 \ud7ff",
]


def sentences() -> list[list[str]]:
    return [text.split(" ") for text in TEXTS if text]


def legal(path) -> bool:
    before = [0, *path]
    return all(t % 2 or t == 0 or b in (t, t - 1) for b, t in itertools.pairwise(before))


def test_pieces_are_the_tokenizers():
    tokenizer = WordPiece(VOCAB, 10_000, lowercase=False)
    pieces, known = twin.Pieces(VOCAB), 0
    for row in sentences():
        some = word_windows(tokenizer, [row])
        mine = [pieces.of(word) for word in row]
        assert [p for word in mine for p in word] == some.ids[0].tolist(), row
        assert np.cumsum([0, *map(len, mine)])[:-1].tolist() == some.at[0].tolist(), row
        known += sum(VOCAB.index(UNK) not in word for word in mine)
    assert known > 400


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


def test_words_of_every_script():
    for text, want in {
        "": [],
        " \u00a0\n": [],
        "It's 3.14, Jean-Luc!": ["It's", "3.14", ",", "Jean-Luc", "!"],
        "東京 e\u0301te กา": ["東", "京", "e\u0301te", "ก", "า"],
        "שלום, דנה": ["שלום", ",", "דנה"],
        "नमस्ते 🙂": ["नमस्ते", "🙂"],
    }.items():
        assert [text[a:b] for a, b in twin.words(text)] == want


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

    found = twin.entities_of(text, twin.Pieces(VOCAB), LABELS, runner.tokenizer.max_length, answer)
    assert len(found) > 50 and found == twin.entities(spans, logits.tolist(), LABELS)


MAIN = r"""
fun main(given: Array<String>) {
    val lines = java.io.File(given[0]).readText().split("\n")
    val pieces = Pieces(java.io.File(given[1]).readText().trimEnd('\n').split("\n"))
    val labels = listOf("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    for (line in lines) {
        val text = line.split(",").filter { it.isNotEmpty() }.map { it.toInt().toChar() }.joinToString("")
        println("words " + words(text).joinToString(" ") { "${it.start},${it.end}" })
        println("pieces " + text.split(" ").joinToString(" ") { pieces.of(it).joinToString(",") })
        val answer = { ids: IntArray ->
            Array(ids.size) { i ->
                FloatArray(5) { t -> ((ids[i] * 7 + ids.size * 3 + i * i + t * t * 5) % 11).toFloat() }
            }
        }
        println("entities " + entities(text, pieces, labels, 12, answer)
            .joinToString(" ") { "${it.type},${it.start},${it.end},${"%.6f".format(java.util.Locale.ROOT, it.score)}" })
    }
}
"""


def answer(ids):
    return [[float((p * 7 + len(ids) * 3 + i * i + t * t * 5) % 11) for t in range(5)] for i, p in enumerate(ids)]


def in_units(text: str, at: int) -> int:
    """UTF-16 units before character ``at``."""
    return len(text[:at].encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.slow
def test_the_guides_kotlin_is_its_twin(tmp_path):
    compiler = os.environ.get("KD_KERAS_KOTLINC") or shutil.which("kotlinc")
    if not compiler:
        pytest.skip("no Kotlin compiler: kotlinc is not on the path, and KD_KERAS_KOTLINC is not set")
    code = re.search(r"```kotlin\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "Tagger.kt").write_text(code + MAIN, encoding="utf-8")
    jar = tmp_path / "tagger.jar"
    done = subprocess.run(
        [compiler, str(tmp_path / "Tagger.kt"), "-include-runtime", "-d", str(jar)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    units = [np.frombuffer(t.encode("utf-16-le"), np.uint16).tolist() for t in TEXTS]
    (tmp_path / "texts").write_text("\n".join(",".join(map(str, u)) for u in units))
    (tmp_path / "vocab").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    done = subprocess.run(
        ["java", "-cp", str(jar), "TaggerKt", str(tmp_path / "texts"), str(tmp_path / "vocab")],
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pieces, want = twin.Pieces(VOCAB), []
    for text in TEXTS:
        spans = [(in_units(text, a), in_units(text, b)) for a, b in twin.words(text)]
        found = twin.entities_of(text, pieces, LABELS, 12, answer)
        want += [
            "words " + " ".join(f"{a},{b}" for a, b in spans),
            "pieces " + " ".join(",".join(map(str, pieces.of(word))) for word in text.split(" ")),
            "entities " + " ".join(f"{k},{in_units(text, a)},{in_units(text, b)},{s:.6f}" for k, a, b, s in found),
        ]
    assert done.stdout.splitlines() == want
