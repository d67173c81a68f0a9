"""Which scheme a file has, which tags it cannot have, and the entities against truth written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_keras.tasks.schemes import OUTSIDE, begins, parse, recognise

# The same two sentences, five words each: PER of two words that touches a PER of one; LOC of three, then an ORG of one.
IOB1 = [["I-PER", "I-PER", "B-PER", "O", "O"], ["O", "I-LOC", "I-LOC", "I-LOC", "I-ORG"]]
IOB2 = [["B-PER", "I-PER", "B-PER", "O", "O"], ["O", "B-LOC", "I-LOC", "I-LOC", "B-ORG"]]
BIOES = [["B-PER", "E-PER", "S-PER", "O", "O"], ["O", "B-LOC", "I-LOC", "E-LOC", "S-ORG"]]
BILOU = [["B-PER", "L-PER", "U-PER", "O", "O"], ["O", "B-LOC", "I-LOC", "L-LOC", "U-ORG"]]
SUFFIXED = [["PER_B", "PER_E", "PER_S", "O", "O"], ["O", "LOC_B", "LOC_I", "LOC_E", "ORG_S"]]
TRUTH = [[(0, 2, "PER"), (2, 3, "PER")], [(1, 4, "LOC"), (4, 5, "ORG")]]


def parsed(sentences):
    return [[parse(tag) for tag in tags] for tags in sentences]


def entities(tags):
    """(start, end, type), by what ``begins`` says."""
    found = []
    for n, (before, tag) in enumerate(zip((OUTSIDE, *tags), tags, strict=False)):
        if begins(before, tag):
            found.append((n, n + 1, tag[1]))
        elif tag != OUTSIDE:
            found[-1] = (found[-1][0], n + 1, tag[1])
    return found


@pytest.mark.parametrize(
    ("sentences", "name"),
    [(IOB1, "IOB1"), (IOB2, "IOB2"), (BIOES, "BIOES"), (BILOU, "BIOES"), (SUFFIXED, "BIOES")],
)
def test_each_scheme_is_known_and_has_the_same_entities(sentences, name):
    scheme = recognise(parsed(sentences))
    assert scheme.name == name and not scheme.wrong
    assert [entities(tags) for tags in parsed(sentences)] == TRUTH


def test_without_b_neighbours_of_a_type_are_one_entity():
    (tags,) = parsed([["I-PER", "I-PER", "I-LOC", "O", "I-LOC"]])
    assert recognise([tags]).name == "IO"
    assert entities(tags) == [(0, 2, "PER"), (2, 3, "LOC"), (4, 5, "LOC")]


def test_a_file_without_entities_has_no_scheme():
    assert recognise(parsed([["O", "O"]])).name == "none" and recognise([]).name == "none"


GOOD = {"IOB2": IOB2 * 3, "IOB1": IOB1 * 3, "BIOES": BIOES * 3, "IO": [["I-PER", "I-PER", "O"]] * 3}


@pytest.mark.parametrize(
    ("scheme", "tags", "word", "says"),
    [
        ("IOB2", ["B-LOC", "I-LOC", "I-PER"], 2, "I-PER after I-LOC is impossible in IOB2 .*expected B-PER"),
        ("IOB2", ["O", "I-PER"], 1, "I-PER after O .*expected B-PER"),
        ("IOB2", ["I-PER"], 0, "I-PER at the start .*expected B-PER"),
        ("IOB2", ["O", "S-LOC"], 1, "S-LOC after O is impossible in IOB2 .*expected B-LOC or I-LOC"),
        ("IOB1", ["I-LOC", "E-LOC"], 1, "E-LOC after I-LOC is impossible in IOB1 .*expected B-LOC or I-LOC"),
        ("IO", ["S-LOC"], 0, "S-LOC at the start is impossible in IO .*the file has no B-.*expected I-LOC"),
        ("IOB1", ["O", "B-LOC"], 1, "B-LOC after O is impossible in IOB1 .*expected I-LOC"),
        ("IOB1", ["B-LOC"], 0, "B-LOC at the start .*expected I-LOC"),
        ("BIOES", ["E-PER"], 0, "E-PER at the start is impossible in BIOES .*expected B-PER or S-PER"),
        ("BIOES", ["O", "I-PER", "E-PER"], 1, "I-PER after O .*expected B-PER or S-PER"),
        ("BIOES", ["B-PER", "O"], 1, "O after B-PER .*expected I-PER or E-PER"),
        ("BIOES", ["B-PER", "I-PER"], 1, "the end of the sentence after I-PER .*expected I-PER or E-PER"),
        ("BIOES", ["B-PER", "E-LOC"], 1, "E-LOC after B-PER .*expected I-PER or E-PER"),
        ("BIOES", ["B-PER", "S-PER"], 1, "S-PER after B-PER"),
        ("BIOES", ["B-PER", "B-PER", "E-PER"], 1, "B-PER after B-PER"),
        ("BIOES", ["S-PER", "E-PER"], 1, "E-PER after S-PER"),
    ],
)
def test_impossible_tags_are_found_where_they_are(scheme, tags, word, says):
    import re

    (bad,) = parsed([tags])
    found = recognise([*parsed(GOOD[scheme]), bad])
    assert found.name == scheme
    at, message = found.fault(bad)
    assert at == word and re.search(says, message), message
    assert all(found.fault(good) is None for good in parsed(GOOD[scheme]))


def test_what_is_a_tag():
    assert parse("B-work-of_art") == ("B", "work-of_art") and parse("I_PER") == ("I", "PER")
    assert parse("PER-B") == ("B", "PER") and parse("M-LOC") == ("I", "LOC")
    assert parse("B-B-I") == ("B", "B-I") and parse("I-") is None and parse("B- \n") is None
    for none in ("", "B-", "-PER", "PER", "0", "o", "B", "B- ", "X-PER"):
        assert parse(none) is None, none
    assert parse("B-" + " " * 1_000_000) is None and parse(" " * 1_000_000 + "-X") is None


kinds = st.sampled_from(["LOC", "PER"])
layouts = st.lists(st.one_of(st.none(), st.tuples(kinds, st.integers(1, 3))), min_size=1, max_size=6)


def write(layout, scheme):
    """Tags of a sentence: each item is a word outside, or an entity of a type and a length."""
    tags, last = [], ""
    for item in layout:
        if item is None:
            tags, last = [*tags, "O"], ""
            continue
        name, size = item
        if scheme == "IOB2":
            parts = ["B"] + ["I"] * (size - 1)
        elif scheme == "IOB1":
            parts = ["B" if last == name else "I"] + ["I"] * (size - 1)
        else:
            parts = ["S"] if size == 1 else ["B", *["I"] * (size - 2), "E"]
        tags, last = tags + [f"{p}-{name}" for p in parts], name
    return tags


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.lists(layouts, min_size=1, max_size=4))
def test_all_schemes_say_the_same_of_any_entities(corpus):
    truth = []
    for layout in corpus:
        at, spans = 0, []
        for item in layout:
            size = 1 if item is None else item[1]
            if item is not None:
                spans.append((at, at + size, item[0]))
            at += size
        truth.append(spans)
    for scheme in ("IOB1", "IOB2", "BIOES"):
        tags = parsed([write(layout, scheme) for layout in corpus])
        assert [entities(t) for t in tags] == truth
        assert not recognise(tags).wrong
