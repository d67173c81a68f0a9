"""Compiles android/*.kt, and compares the ids and words of its tokenizers with the package's.

python android/check/check.py [--sst2=DIR] [--panx=DIR]

The texts are two packaged data sets, the dev splits of SST-2 and PAN-X if their folders are given, 10,000 odd strings,
and each character between two letters. Code that needs Android is compiled against android/stubs. The command exits
with 1 if something does not compile, or if a text's ids differ although each of its characters alone agrees.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import compiler
import numpy as np
import texts

from kd_keras.common.errors import UserError
from kd_keras.common.layout import BundleLayout
from kd_keras.deploy import bundle, encoder_card, tagger_card
from kd_keras.tasks import TaskSettings, load_data
from kd_keras.text.tokenizers import Tokenizer, WordPiece, Words, made_tokenizer, read_vocab, word_vocab
from kd_keras.text.words import split_words

ANDROID = Path(__file__).resolve().parents[1]
SHIPPED = ANDROID.parent / "saved_models"
SCRIPTS = ("ar", "el", "en", "he", "hi", "ja", "ka", "ko", "ru", "zh")
CHARACTERS, WORDS = "each character", "a tagger's words"


# The Kotlin of model cards, as functions.
CARDS = """package kdkeras

import android.content.Context
import com.google.mediapipe.tasks.text.textembedder.TextEmbedder

fun ofTagger(context: Context, text: String) {{
{tagger}}}

fun ofEncoder(context: Context) {{
{encoder}}}
"""


def fenced(card: str) -> str:
    """The Kotlin of a card's part, with its fields filled in."""
    return card.partition("```kotlin\n")[2].partition("```")[0].format(room=64, file="dynamic.tflite")


def shipped(task: str) -> Tokenizer:
    """The tokenizer of a student in the repository."""
    layout = BundleLayout(SHIPPED / task / "mobile" / "tflite")
    return made_tokenizer(read_vocab(layout.vocab), bundle.read(layout.root)["tokenizer"], layout.metadata)


def spelling(lowercase: bool, **splitting: bool) -> WordPiece:
    """A WordPiece with each character, at the beginning and inside of words. So any change of a character shows."""
    letters = [c for c in texts.characters() if c > " " and not c.isspace()]
    vocab = ["[PAD]", "[UNK]", "[MASK]", *letters, *("##" + c for c in letters)]
    return WordPiece(vocab, 1 << 20, lowercase, **splitting)


class Splitter:
    """A tagger's words, as a tokenizer whose ids are the words' ends in UTF-16 units."""

    kind = "split"

    def encode(self, some: Sequence[str]) -> list[np.ndarray]:
        return [np.array([units(t, at) for span in split_words(t) for at in span], int) for t in some]


def units(text: str, at: int) -> int:
    """UTF-16 units before character ``at``."""
    return len(text[:at].encode("utf-16-le")) // 2


def sources(sst2: str | None, panx: str | None) -> dict[str, list[str]]:
    """Name → texts."""
    found = {name: list(load_data(TaskSettings(task=name)).dev.text) for name in ("rotten_tomatoes", "conll2003")}
    if sst2:
        found["sst2"] = list(load_data(TaskSettings(task="sst2", data_dir=sst2)).dev.text)
    for language in SCRIPTS if panx else ():
        settings = TaskSettings(task="panx", data_dir=panx, languages=language, dev_per_language=0)
        found[f"panx, {language}"] = list(load_data(settings).dev.text)
    return found | {"odd strings": texts.odd(), CHARACTERS: [f"a{c}B" for c in texts.characters()]}


def written(tokenizer: Tokenizer | Splitter, vocab: Path) -> list[str]:
    """The arguments of its Kotlin twin. The vocabulary goes to a file."""
    if isinstance(tokenizer, Splitter):
        return [tokenizer.kind]
    vocab.write_text("".join(f"{piece}\n" for piece in tokenizer.vocab), encoding="utf-8")
    said = [tokenizer.kind, str(vocab), str(tokenizer.max_length), str(tokenizer.lowercase), tokenizer.truncation]
    if isinstance(tokenizer, WordPiece):
        said += [str(tokenizer.strip_accents), str(tokenizer.tokenize_chinese_chars)]
    return said


def in_kotlin(
    jar: Path, tokenizers: dict[str, Tokenizer | Splitter], sets: dict[str, list[str]], jobs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[list[int]]]:
    """(tokenizer, set) → the ids of each text, by the app's code."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        twins = {name: written(t, work / f"vocab-{n}") for n, (name, t) in enumerate(tokenizers.items())}
        places = {name: work / f"texts-{n}" for n, name in enumerate(sets)}
        for name, place in places.items():
            place.write_text("".join(text.encode("utf-16-be").hex() + "\n" for text in sets[name]))
        lines = [[str(places[s]), str(work / f"ids-{n}"), *twins[t]] for n, (t, s) in enumerate(jobs)]
        (work / "jobs").write_text("".join("\t".join(line) + "\n" for line in lines))
        compiler.run(jar, "kdkeras.MainKt", str(work / "jobs"))
        answers = [Path(line[1]).read_text().splitlines() for line in lines]
        return {job: [[int(i) for i in ids.split()] for ids in a] for job, a in zip(jobs, answers, strict=True)}


def differing(tokenizer: Tokenizer | Splitter, some: list[str], theirs: list[list[int]]) -> list[str]:
    ours = tokenizer.encode(some)
    assert len(theirs) == len(some)
    return [text for n, text in enumerate(some) if ours[n].tolist() != theirs[n]]


def kinds(characters: set[str]) -> str:
    """How many characters of which kind, by this Python's Unicode tables."""
    count = collections.Counter(unicodedata.category(c) for c in characters)
    return ", ".join(f"{n:,} {kind}" for kind, n in count.most_common())


def compare(jar: Path, sst2: str | None, panx: str | None) -> int:
    """Prints the share of equal ids of each set. Returns how many differences have no known reason."""
    sets = sources(sst2, panx)
    tokenizers = {
        "sst2's, lower case": shipped("sst2"),
        "panx', cased": shipped("panx"),
        "characters, lower case": spelling(True),
        "characters, cased": spelling(False),
        "characters, lower case with accents": spelling(True, strip_accents=False),
        "characters, Chinese not split": spelling(True, tokenize_chinese_chars=False),
        "words, lower case": word_vocab(sets["rotten_tomatoes"], 64, min_count=1),
        "words, cased, two ends": Words(["[PAD]", "[UNK]", "[MASK]", "a", "B"], 9, False, truncation="head_tail"),
        WORDS: Splitter(),
    }  # fmt: skip
    of_each = {name: [*list(tokenizers)[:2], WORDS] for name in sets} | {"odd strings": list(tokenizers)}
    of_each["rotten_tomatoes"] = [*list(tokenizers)[:2], "words, lower case", WORDS]
    of_each[CHARACTERS] = ["characters, lower case", "characters, cased", "words, lower case", WORDS]
    jobs = [(t, s) for s, used in of_each.items() for t in used]
    answers, unexplained = in_kotlin(jar, tokenizers, sets, jobs), 0
    # If a character alone differs, that explains the difference of a text with it.
    known: dict[str, set[str]] = collections.defaultdict(set)
    for name in of_each[CHARACTERS]:
        found = differing(tokenizers[name], sets[CHARACTERS], answers[name, CHARACTERS])
        known[tokenizers[name].kind] |= {text[1] for text in found}
    print(f"{'text':<16} {'texts':>9}  {'same ids':>9}  tokenizer")
    for name, some in jobs:
        found = differing(tokenizers[name], sets[some], answers[name, some])
        why = [text for text in found if not known[tokenizers[name].kind] & set(text)]
        unexplained += len(why)
        share = 100 * (1 - len(found) / len(sets[some]))
        print(f"{some:<16} {len(sets[some]):>9,}  {share:>8.3f}%  {name}")
        for text in why[:3]:
            print(f"    no known reason: {text!a}")
    for kind, found in known.items():
        print(f"characters that differ, kind {kind}: {kinds(found) or 'none'}")
    return unexplained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sst2", metavar="DIR", help="folder of SST-2's official files")
    parser.add_argument("--panx", metavar="DIR", help="folder of PAN-X, a folder for each language")
    given = parser.parse_args()
    if not compiler.command():
        print("kotlin-check skipped: no Kotlin compiler; on Debian and Ubuntu: apt-get install default-jre-headless")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        jar = Path(folder) / "android.jar"
        cards = Path(folder) / "Cards.kt"
        cards.write_text(CARDS.format(tagger=fenced(tagger_card.KOTLIN), encoder=fenced(encoder_card.KOTLIN)))
        files = [*sorted(ANDROID.glob("*.kt")), *sorted((ANDROID / "check").glob("*.kt")), cards]
        wrong = compiler.compile_files([*files, ANDROID / "stubs"], jar)
        if wrong:
            print(wrong, file=sys.stderr)
            return 1
        print(f"{len(files)} Kotlin files compile")
        unexplained = compare(jar, given.sst2, given.panx)
    print(f"{unexplained:,} differences without a known reason" if unexplained else "Kotlin agrees")
    return 1 if unexplained else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
