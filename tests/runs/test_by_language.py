"""Language by language: what picture and tables say, and that it can be read."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kd_keras.runs import by_language

NAMES = [f"{a}{b}" for a in "abcdefgh" for b in "klmnop"]
TITLES = ("teacher", "student", "no distillation")


def scores(count: int, titles=TITLES) -> dict[str, dict[str, float]]:
    draw = np.random.default_rng(count)
    return {title: {name: float(draw.uniform(0.3, 0.95)) for name in NAMES[:count]} for title in titles}


@pytest.mark.parametrize("titles", [TITLES, TITLES[:2], TITLES[1:2]])
@pytest.mark.parametrize("count", [1, 2, 12, 24, 25, 47])
def test_every_language_has_its_bars(count, titles):
    found = scores(count, titles)
    figure = by_language.picture(found)
    drawn = {title: {} for title in titles}
    order = []
    for ax in figure.axes:
        names = [t.get_text() for t in ax.get_xticklabels()]
        order += names
        for bars in ax.containers:
            drawn[bars.get_label()] |= dict(zip(names, [b.get_height() / 100 for b in bars], strict=True))
    assert drawn == {title: pytest.approx(each) for title, each in found.items()}
    by = found["student"]
    assert order == sorted(by, key=by.__getitem__), "the lowest of the student first"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(titles)


@pytest.mark.parametrize("count", [1, 2, 12, 47])
def test_names_keep_apart_and_inside(count):
    figure = by_language.picture(scores(count))
    figure.draw_without_rendering()
    texts = [t for ax in figure.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels(), ax.yaxis.label)]
    boxes = [t.get_window_extent() for t in (*texts, *figure.legends[0].get_texts()) if t.get_text()]
    assert not [1 for a, b in combinations(boxes, 2) if a.shrunk(0.98, 0.98).overlaps(b.shrunk(0.98, 0.98))]
    width, height = figure.bbox.size
    assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)


def test_a_language_that_one_lacks_has_no_bar_there():
    figure = by_language.picture({"teacher": {"de": 0.9, "sw": 0.8}, "student": {"de": 0.7}})
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["sw", "de"]
    heights = {bars.get_label(): [b.get_height() for b in bars] for bars in ax.containers}
    assert heights["teacher"] == pytest.approx([80, 90])
    assert np.isnan(heights["student"][0]) and heights["student"][1] == pytest.approx(70)


def of(rows: int, *values: float) -> dict[str, float]:
    names = ("entity_f1", "conlleval_f1", "entity_precision", "entity_recall")
    return {"rows": rows} | dict(zip(names, values, strict=True))


def cells(table: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]


def test_one_students_table_has_all_scores_and_their_mean():
    found = {"student": {"sw": of(1000, 0.5, 0.6, 0.4, 0.7), "de": of(250, 0.9, 0.92, 0.88, 0.95)}}
    head, _, *lines = cells(by_language.table(found))
    assert head == ["language", "sentences", "F1", "conlleval F1", "precision", "recall"]
    assert lines == [
        ["de", "250", "90.00", "92.00", "88.00", "95.00"],
        ["sw", "1,000", "50.00", "60.00", "40.00", "70.00"],
        ["mean", "", "70.00", "76.00", "64.00", "82.50"],
    ]


def test_several_are_set_beside_each_other():
    teacher = {"de": of(250, 0.9, 0, 0, 0), "sw": of(1000, 0.5, 0, 0, 0)}
    head, _, *lines = cells(by_language.table({"teacher": teacher, "student": {"de": of(250, 0.8, 0, 0, 0)}}))
    assert head == ["language", "sentences", "teacher", "student"]
    assert lines == [["de", "250", "90.00", "80.00"], ["sw", "1,000", "50.00", "–"], ["mean", "", "70.00", "80.00"]]


def test_types_have_their_counts():
    found = {"A|B": {"rows": 1200, "given": 1000, "precision": 0.9, "recall": 0.75, "f1": 0.8182}}
    text = by_language.type_table(found)
    assert "A\\|B" in text
    assert cells(text.replace("\\|", ""))[2] == ["AB", "1,200", "1,000", "90.00", "75.00", "81.82"]
