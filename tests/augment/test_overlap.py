"""Overlap with dev and test, against looking at every run of every text."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kd_keras.augment.overlap import Overlaps, words

LONG = [f"w{n}" for n in range(20)]


def by_hand(held_out, text):
    """The definition, read from end to end."""
    found = words(text)
    for other in map(words, held_out):
        length = min(13, len(other))
        runs = {tuple(other[i : i + length]) for i in range(len(other) - length + 1)} if length >= 8 else set()
        if any(tuple(found[i : i + length]) in runs for i in range(len(found) - length + 1)):
            return True
    return False


def test_every_run_is_looked_at():
    draw = random.Random(1)
    held_out = [" ".join(draw.choices("abc", k=draw.randint(1, 16))) for _ in range(40)]
    texts = [" ".join(draw.choices("abc", k=draw.randint(0, 30))) for _ in range(400)]
    texts += [f"a b {draw.choice(held_out)} c" for _ in range(100)]
    want = [by_hand(held_out, t) for t in texts]
    assert 50 < sum(want) < 450
    assert Overlaps([held_out[:25], held_out[25:]])(texts).tolist() == want


@pytest.mark.parametrize(
    ("held_out", "text", "overlap"),
    [
        (" ".join(LONG), "he wrote: " + " ".join(LONG[3:16]).upper() + "!", True),  # 13
        (" ".join(LONG), " ".join(LONG[3:15]), False),  # 12 of a longer one
        (" ".join(LONG[:8]), "so " + " ".join(LONG[:8]) + " it is", True),  # a whole one
        (" ".join(LONG[:7]), "so " + " ".join(LONG[:7]) + " it is", False),  # too short to tell
        ("it does n't work and that 's what i do n't like", "He said it doesn’t work and that’s what I don't like.", True),
        ("the caf\u00e9 is what we\u2019re going to love about it", "THE CAF\u00c9 IS WHAT WE'RE GOING TO LOVE ABOUT IT", True),
        ("a b c d e f g h", "", False),
        ("", "", False),
    ],
)  # fmt: skip
def test_examples(held_out, text, overlap):
    assert Overlaps([[held_out]])([text]).tolist() == [overlap]


def test_a_megabyte_of_white_space_takes_no_longer_than_other_text():
    assert words("it's" + " " * 1_000_000 + "x does  n't") == ["its", "x", "doesnt"]


def test_nothing_held_out_and_no_text():
    assert Overlaps([])(["a b c d e f g h"]).tolist() == [False]
    assert Overlaps([["a b c d e f g h"]])([]).shape == (0,)
    assert Overlaps([[]])(["x"]).dtype == np.bool_
