"""Part-of-speech taggers that need no download."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kd_keras.common import packages
from kd_keras.common.errors import UserError

Tagger = Callable[[Sequence[str]], list[str]]


def hanta() -> Tagger:
    """Wartena's Hanover Tagger for English. Its model is in its wheel, so it is trusted like the package."""
    from HanTa.HanoverTagger import HanoverTagger

    model = HanoverTagger("morphmodel_en.pgz")

    def tag(words: Sequence[str]) -> list[str]:
        return [t for _, _, t in model.tag_sent(list(words))]

    return tag


def spacy() -> Tagger:
    """spaCy's small English model, if both are installed."""
    import spacy as library

    model = library.load("en_core_web_sm", disable=["parser", "ner", "lemmatizer"])

    def tag(words: Sequence[str]) -> list[str]:
        return [t.tag_ for t in model(library.tokens.Doc(model.vocab, words=list(words)))]

    return tag


_TAGGERS = {"hanta": (hanta, ("HanTa",)), "spacy": (spacy, ("spacy", "en_core_web_sm"))}


def check_tagger(name: str) -> None:
    """Raises UserError if the tagger's packages are not installed. It imports nothing."""
    needs = _TAGGERS[name][1]
    if name == "hanta":
        packages.require(f"--tagger={name}", "augment", *needs)
    missing = [package for package in needs if not packages.installed(package)]
    if missing:
        raise UserError(f"--tagger={name}: needs the package{'s'[: len(missing) - 1]} {', '.join(missing)}")


def make_tagger(name: str) -> Tagger:
    """Words of one sentence → a tag for each."""
    return _TAGGERS[name][0]()
