"""--labels_per_class: how many of each class, which ones, and what becomes of the others."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows, Task, TaskData, custom, load
from kd_keras.tasks.few_labels import few_labels

TASK = Task("toy", "single", ("neg", "so-so", "pos"))


def rows(labels, prefix="train", text_b=False) -> Rows:
    ids = [f"{prefix}-{i}" for i in range(len(labels))]
    texts = [f"text of {i}" for i in ids]
    return Rows(ids, texts, [t[::-1] for t in texts] if text_b else None, np.asarray(labels, np.int32))


@pytest.fixture
def data() -> TaskData:
    """60 rows in an unequal mix, so that no class's draw is a plain slice."""
    labels = np.random.default_rng(0).choice(3, 60, p=(0.5, 0.2, 0.3))
    return TaskData(TASK, rows(labels), rows([0, 1, 2] * 4, "dev"), "made up", ["a note"], {"odd": rows([1], "odd")})


def test_the_draw_is_the_one_made_by_hand(data):
    got = few_labels(data, 5, 3)
    want = []
    for label in range(3):
        of_class = [i for i, other in enumerate(data.train.label) if other == label]
        order = rng(3, "labels per class", "toy", label).permutation(len(of_class))
        want += [of_class[n] for n in order[:5]]
    assert got.train.ids == [f"train-{i}" for i in sorted(want)], "in the file's order"
    assert got.rest.ids == [f"train-{i}" for i in range(60) if i not in want]
    assert np.bincount(got.train.label).tolist() == [5, 5, 5]
    for part in (got.train, got.rest):
        assert part.text == [f"text of {i}" for i in part.ids]
    assert got.train.label.tolist() == [data.train.label[i] for i in sorted(want)]


def test_nothing_of_the_rests_labels_is_left(data):
    got = few_labels(data, 5, 3)
    assert got.rest.label.dtype == np.int32 and (got.rest.label == -1).all() and len(got.rest) == 45
    assert (data.train.label >= 0).all(), "what was given stays as it was"


def test_dev_and_extra_splits_are_not_touched(data):
    got = few_labels(data, 5, 3)
    assert got.dev is data.dev and got.extra == data.extra and got.source == data.source


def test_a_larger_number_keeps_what_a_smaller_one_drew(data):
    few, more = (set(few_labels(data, n, 3).train.ids) for n in (3, 8))
    assert few < more and len(few) == 9
    assert set(few_labels(data, 3, 4).train.ids) != few, "another seed, another draw"
    # Rows that one class gains change nothing in another's draw.
    grown = rows([*data.train.label, *[1] * 30])
    again = few_labels(TaskData(TASK, grown, data.dev, "", []), 3, 3).train
    kept = [i for i, label in zip(again.ids, again.label, strict=True) if label != 1]
    assert set(kept) == {i for i in few if data.train.label[int(i.split("-")[1])] != 1}


def test_what_was_drawn_is_said(data):
    assert few_labels(data, 5, 3).notes == [
        "a note",
        "labels: of 60 training rows neg 5, so-so 5, pos 5, drawn with seed 3; the other 45 are transfer text without labels",
    ]


def test_a_small_class_gives_all_it_has_and_the_notes_say_so():
    made = few_labels(TaskData(TASK, rows([0] * 9 + [1] * 2), rows([0]), "", []), 4, 1)
    assert np.bincount(made.train.label).tolist() == [4, 2] and len(made.rest) == 5
    assert made.notes[:2] == [
        "labels: so-so has 2 rows, fewer than 4 a class: all are taken",
        "labels: pos has 0 rows, fewer than 4 a class: all are taken",
    ]


def test_where_every_row_is_drawn_nothing_is_left(data):
    got = few_labels(data, 60, 1)
    assert got.rest is None and got.train.fingerprint() == data.train.fingerprint()
    assert got.fingerprint == data.fingerprint, "the teacher of the full set is the right one"
    assert got.notes[-1].endswith("none is left over")


def test_another_draw_is_other_data(data):
    prints = {data.fingerprint, *(few_labels(data, n, s).fingerprint for n, s in ((5, 1), (5, 2), (6, 1)))}
    assert len(prints) == 4


def test_rows_that_had_no_label_are_part_of_the_rest():
    got = few_labels(TaskData(TASK, rows([0, -1, 0, 1, -1, 2]), rows([0]), "", []), 1, 1)
    assert len(got.train) == 3 and {"train-1", "train-4"} < set(got.rest.ids)


def test_a_pair_keeps_its_second_text():
    got = few_labels(TaskData(TASK, rows([0, 1, 2] * 5, text_b=True), rows([0]), "", []), 2, 1)
    for part in (got.train, got.rest):
        assert part.text_b == [t[::-1] for t in part.text]


def test_load_draws_after_dev_was_carved(tmp_path, toy_sentences, write_csv):
    task = custom(str(write_csv(tmp_path / "train.csv", *toy_sentences(80, 0))))
    whole, drawn = load(task), load(task, labels_per_class=4, labels_seed=2)
    assert drawn.dev.fingerprint() == whole.dev.fingerprint()
    assert len(drawn.train) == 8 and {*drawn.train.ids, *drawn.rest.ids} == set(whole.train.ids)
    assert whole.rest is None
    assert drawn.train.ids == few_labels(whole, 4, 2).train.ids


def test_nonsense_is_refused(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"film {n},{n}.5\n" for n in range(20)))
    scores = custom(str(tmp_path / "train.csv"), regression=True)
    with pytest.raises(UserError, match="--labels_per_class=3: task custom is a regression, which has no classes") as e:
        load(scores, labels_per_class=3)
    assert "\n" not in str(e.value)
    with pytest.raises(UserError, match="--labels_per_class=0: expected at least 1"):
        load(custom(str(tmp_path / "train.csv")), labels_per_class=0)
