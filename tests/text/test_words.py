"""The splitter of raw text: where words begin and end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_keras.text.words import is_space, split_words


def words(text):
    return [text[a:b] for a, b in split_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\u00a0\u3000\u200b\n", []),
        ("Angela Merkel, Paris.", ["Angela", "Merkel", ",", "Paris", "."]),
        ("a\u00a0b\u3000c\u200bd", ["a", "b", "c", "d"]),
        ("It's Obama's (don't)", ["It", "'s", "Obama", "'s", "(", "don", "'t", ")"]),
        ("l'Europe, d\u2019Uruguay dell'arte", ["l'", "Europe", ",", "d\u2019", "Uruguay", "dell'", "arte"]),
        ("O'Brien, Jean-Luc and AT&T", ["O'Brien", ",", "Jean-Luc", "and", "AT&T"]),
        ("3.14, 1,000 at 12:30.", ["3.14", ",", "1,000", "at", "12:30", "."]),
        ("The U.S. of J. Smith. End.", ["The", "U.S.", "of", "J.", "Smith", ".", "End", "."]),
        ("''x''...", ["'", "'", "x", "'", "'", ".", ".", "."]),
        ("東京123へ", ["東", "京", "123", "へ"]),
        ("V鋼彈 42", ["V", "鋼", "彈", "42"]),
        ("서울은 수도", ["서울은", "수도"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("นี่", ["นี่"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("\u200fabc\u200e \u200e", ["abc"]),
        ("\u2067שלום\u2069, ל\u200eRome\u200e.", ["שלום", ",", "ל", "Rome", "."]),
        ("👩\u200d💻👍🏽🇫🇷🇩🇪 1\ufe0f\u20e3", ["👩\u200d💻", "👍🏽", "🇫🇷", "🇩🇪", "1\ufe0f\u20e3"]),
    ],
)
def test_words_by_hand(text, expected):
    assert words(text) == expected


# What initials were told by; two letters and a point are none.
INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.text("aB²1.-' \u0301", max_size=12))
def test_points_of_initials(text):
    for a, b in split_words(text):
        for at in range(a + 2, b):  # a point inside of a word, behind its first letter and a point
            if text[at] == "." and not (text[at - 1].isdigit() and text[at + 1 : at + 2].isdigit()):
                assert INITIALS.fullmatch(text, a, at), (text, text[a:b])


def test_time_grows_with_the_length_alone():
    assert words("a." * 100_000) == ["a." * 100_000] and words("1.2," * 50_000 + "3") == ["1.2," * 50_000 + "3"]


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.one_of(st.text(max_size=30), st.text("aB1.'’-& \u200d\u200f\u0301中กุ👍🏽🇫🇷l", max_size=20)))
def test_every_character_is_in_one_word_or_is_white_space(text):
    spans = split_words(text)
    covered = [n for a, b in spans for n in range(a, b)]
    assert covered == sorted(set(covered)) and all(a < b for a, b in spans)
    space = [n for n, c in enumerate(text) if is_space(c)]
    assert sorted([*covered, *space]) == list(range(len(text)))
