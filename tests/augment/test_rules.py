"""The rules' claims as properties: rates within bounds, tags preserved, never an empty text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_keras.augment.rules import MASK_WORD, Chances, Lexicon, Split, vary
from kd_keras.common.seeds import rng

TAG = {"film": "N", "plot": "N", "actor": "N", "good": "J", "dull": "J", "is": "V", "moves": "V", ".": "P"}
RUNNING = ["film"] * 6 + ["plot"] * 3 + ["actor"] + ["good"] * 2 + ["dull"] * 2 + ["is"] * 3 + ["moves"] + ["."] * 4
LEXICON = Lexicon((w, TAG[w]) for w in RUNNING)
texts = st.lists(st.sampled_from(sorted(TAG)), min_size=1, max_size=14).map(" ".join)


def tags(split: Split) -> list[str]:
    return [TAG[w] for w in split.words]


@given(st.text())
def test_a_split_loses_no_word_and_joins_to_its_text(text):
    split = Split.of(text)
    assert len(split.words) == len(split.gaps)
    if split.words:
        joined = split.join(split.words, 0, len(split.words))
        assert joined in text and not any(c.isalnum() for c in text.replace(joined, "", 1))
    else:
        assert not any(c.isalnum() for c in text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a film.", ["It's", "a", "film", "."]),
        ("does n't work -- at all", ["does", "n't", "work", "-", "-", "at", "all"]),
        ("l’été, 24/7", ["l’été", ",", "24", "/", "7"]),
        ("  ", []),
    ],
)
def test_words(text, words):
    assert list(Split.of(text).words) == words


def test_what_no_rule_touches_keeps_its_spacing():
    split = Split.of("An  odd,spacing: kept.")
    words = list(split.words)
    words[1] = MASK_WORD
    assert split.join(words, 0, len(words)) == "An  [MASK],spacing: kept."
    assert split.join(words, 1, 4) == "[MASK],spacing"


@given(
    texts,
    st.integers(0, 10_000),
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1)),
    st.integers(1, 7),
)
@settings(max_examples=300, deadline=None)
def test_a_new_text_is_never_empty_and_keeps_every_tag(text, seed, p, longest):
    split = Split.of(text)
    new, rules = vary(split, tags(split), LEXICON, Chances(*p, longest), rng(seed, "t"))
    words = new.replace(MASK_WORD, "MASK").split()
    assert words, "never an empty text"
    fired = set(rules.split("+")) - {""}
    if "ngram" in fired:
        assert 1 <= len(words) <= longest and len(words) < len(split.words)
    else:
        assert len(words) == len(split.words)
    # The kept words stand somewhere in the text, one after the other, each itself, masked, or another of its tag.
    starts = range(len(split.words) - len(words) + 1)

    def fits(old: str, now: str) -> bool:
        return now == old or ("mask" in fired and now == "MASK") or ("pos" in fired and TAG.get(now) == TAG[old])

    assert any(all(fits(split.words[s + i], w) for i, w in enumerate(words)) for s in starts)
    assert (new == text) or fired, "a change has a rule to its name"


def many(text: str, chances: Chances, draws: int = 6000, seed: int = 3):
    split, draw = Split.of(text), rng(seed, "many")
    return split, [vary(split, tags(split), LEXICON, chances, draw) for _ in range(draws)]


def within(count: int, of: int, p: float) -> bool:
    """Whether a binomial count lies inside five standard deviations."""
    return abs(count - of * p) <= 5 * np.sqrt(of * p * (1 - p)) + 1


@pytest.mark.parametrize(("mask", "pos"), [(0.1, 0.1), (0.3, 0.0), (0.0, 0.4), (0.25, 0.75)])
def test_rates_of_masks_and_replacements(mask, pos):
    split, made = many("film good is plot dull moves .", Chances(mask, pos, 0.0))
    words = [w for text, _ in made for w in text.split()]
    assert within(words.count(MASK_WORD), len(words), mask)
    # A replacement may be the word itself, as the unigram distribution has it.
    same = {tag: {w: n / s for w, n in c.items()} for tag, c in shares().items() for s in [sum(c.values())]}
    expected = np.mean([pos * (1 - same[TAG[w]][w]) for w in split.words])
    changed = sum(a != b and b != MASK_WORD for t, _ in made for a, b in zip(split.words, t.split(), strict=True))
    assert within(changed, len(words), expected)


def shares() -> dict[str, Counter]:
    out: dict[str, Counter] = {}
    for word in RUNNING:
        out.setdefault(TAG[word], Counter())[word] += 1
    return out


def test_replacements_follow_the_unigram_distribution_of_their_tag():
    _, made = many("film", Chances(0.0, 1.0, 0.0), 20_000)
    counts = Counter(text for text, _ in made)
    assert set(counts) == {"film", "plot", "actor"}
    for word, n in shares()["N"].items():
        assert within(counts[word], 20_000, n / 10)


def test_ngrams_have_the_asked_rate_length_and_place():
    text = " ".join(["film", "plot", "actor", "good", "dull", "is", "moves", "."])
    split, made = many(text, Chances(0.0, 0.0, 0.25), 24_000)
    short = [t.split() for t, rules in made if rules == "ngram"]
    assert within(len(short), len(made), 0.25)
    lengths = Counter(map(len, short))
    assert set(lengths) == {1, 2, 3, 4, 5}
    for n in lengths:
        assert within(lengths[n], len(short), 0.2)
        firsts = Counter(w[0] for w in short if len(w) == n)
        assert set(firsts) == set(split.words[: 8 - n + 1]), "every place, and no word twice in a row of places"
        for count in firsts.values():
            assert within(count, lengths[n], 1 / (8 - n + 1))


def test_a_short_text_is_kept_whole():
    _, made = many("film", Chances(0.0, 0.0, 1.0), 50)
    assert set(made) == {("film", "")}


def test_one_rules_constant_moves_no_other_rules_draws():
    split = Split.of("film good is plot dull moves . film good")
    with_masks = vary(split, tags(split), LEXICON, Chances(0.4, 0.0, 1.0), rng(5, "x"))[0].split()
    without = vary(split, tags(split), LEXICON, Chances(0.0, 0.0, 1.0), rng(5, "x"))[0].split()
    assert len(with_masks) == len(without)
    assert all(a in (b, MASK_WORD) for a, b in zip(with_masks, without, strict=True))
