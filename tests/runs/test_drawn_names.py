"""Names in pictures: cut, numbered and drawn in letters that some font has, never as empty boxes."""

from __future__ import annotations

import io
import warnings

import matplotlib
import numpy as np
import pytest

from kd_keras.common.markdown import width
from kd_keras.runs import by_label, by_language, drawn_names, error_plots
from kd_keras.runs.drawn_names import look, numbered, shortened


def test_long_names_are_cut_in_the_middle_and_stay_different():
    names = ["short", "a" * 20 + "b" * 20, "x" * 30 + "1" + "x" * 30, "x" * 30 + "2" + "x" * 30, "two\nlines\tof  it"]
    short = shortened(names, 16)
    assert short == ["short", "aaaaaaaa…bbbbbbb", "xxxxxx…xxxxxx #3", "xxxxxx…xxxxxx #4", "two lines of it"]
    assert max(map(len, short)) == 16
    alike = [f"customer_asks_for_a_{what}_of_a_top_up_by_card" for what in ("refund", "return", "receipt")] * 40
    assert len(set(shortened(alike))) == 120


NO_FONT = ("退款请求", "भुगतान विफल", "カードが届かない", "환불 요청", "คืนเงิน")  # DejaVu has none of them


def missing(figure) -> list[str]:
    """What matplotlib says of letters that no font has."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure.savefig(io.BytesIO(), format="png")
    return [str(w.message) for w in said if "missing from font" in str(w.message)]


@pytest.fixture
def only_dejavu(monkeypatch):
    """No font but matplotlib's own, whatever this machine has."""
    drawn_names._font.cache_clear()
    monkeypatch.setattr(drawn_names, "_fonts", lambda: [("", matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf")])
    yield
    drawn_names._font.cache_clear()


def test_names_in_letters_of_no_font_are_numbers_and_the_table_says_whose(only_dejavu):
    names = ["refund", *NO_FONT, "مشكلة في البطاقة", "возврат", "card 退款", "❤\ufe0f fine", "\u2066ok\u2069"]
    assert shortened(names) == [
        "refund", "#2", "#3", "#4", "#5", "#6", "مشكلة في البطاقة", "возврат", "card #9", "❤\ufe0f fine", "ok",
    ]  # fmt: skip
    assert numbered(names) and not numbered(["refund", "возврат"])
    scores = {"rows": 3, "given": 4, "precision": 0.5, "recall": 0.25, "f1": 0.3}
    found = dict.fromkeys(names, scores)
    matrix = np.full((len(names), len(names)), 3)
    language = {"student": {name: 0.5 for name in names}}
    for figure in (
        error_plots.confusion(matrix, names, "t"), error_plots.worst(matrix, names, "t"),
        by_label.picture(found, "t"), by_language.picture(language),
    ):  # fmt: skip
        assert not missing(figure)
    lines = by_label.table(found).splitlines()
    assert lines[0].split()[1:4] == ["label", "|", "#"] and "labels.txt" in lines[-1]
    assert [line.split("|")[2].strip() for line in lines[2:-2]] == [str(n) for n in range(1, len(names) + 1)]
    assert len({width(line) for line in lines[:-2]}) == 1, "wide letters count twice"
    types = by_language.type_table(found)
    shown = {t.get_text() for ax in by_language.picture(language).axes for t in ax.get_xticklabels()}
    for name in NO_FONT:
        (row,) = (line for line in types.splitlines() if name in line and "card" not in line)
        assert "#" + row.split("|")[2].strip() in shown
    assert "#" not in by_label.table({"refund": scores})


def test_another_font_that_is_installed_draws_what_matplotlibs_own_lacks():
    """DejaVu stands for what is installed, STIX for matplotlib's own."""
    drawn_names._font.cache_clear()
    drawn_names._fonts.cache_clear()
    with matplotlib.rc_context({"font.family": ["STIXGeneral"]}):
        name = "مشكلة"
        assert shortened([name]) == [name]
        fonts = look([name])["fontfamily"]
        assert fonts[0] == "STIXGeneral" and len(fonts) == 2
        assert not missing(error_plots.confusion(np.eye(1, dtype=int), [name], "t"))
    drawn_names._font.cache_clear()
    drawn_names._fonts.cache_clear()


def test_gold_stands_left_of_predicted_in_right_to_left_letters():
    assert drawn_names.arrow("a", "b") == "a → b"
    for gold, predicted in (("ביטול", "card"), ("card", "مشكلة")):
        assert drawn_names.arrow(gold, predicted) == f"\u200e{gold} → \u200e{predicted}"
