"""A larger set of text takes what another run has of it, and asks the teacher about the rest."""

import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kd_keras.common.ragged import flat
from kd_keras.tasks import Rows
from kd_keras.tasks.rows import no_tags
from kd_keras.teachers import labelling
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.labelling import label
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import COMPLETE
from kd_keras.teachers.tagger import TaggingTeacher

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SETTINGS = LabelSettings(hidden="cls", shard_rows=8, label_batch_tokens=48)


@pytest.fixture(scope="module")
def teacher(make_teacher) -> Teacher:
    return make_teacher()


@pytest.fixture(scope="module")
def rows(toy_rows) -> Rows:
    """30 different texts, and two of them again."""
    made = toy_rows(32)
    texts = [f"{text} {'film ' * (n % 4)}{'plot ' * (n // 4)}" for n, text in enumerate(made.text[:30])]
    return Rows(made.ids, [*texts, texts[3], texts[0]], None, made.label)


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """How many texts each call of the teacher read."""
    taken, real = [], Teacher.predict_batch

    def predict(self, batch, cls_only=False):
        taken.append(len(batch["input_ids"]))
        return real(self, batch, cls_only)

    monkeypatch.setattr(Teacher, "predict_batch", predict)
    return taken


def run(teacher, rows, folder, settings=SETTINGS, known=()):
    return label(teacher, rows, folder, settings, "toy", "more", known)


PARTS = {
    "its first half": np.arange(15),
    "every third, in another order": np.arange(30)[::-3],
    "all but one": np.delete(np.arange(30), 11),
    "one": np.array([29]),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_only_new_texts_are_read(teacher, rows, tmp_path, read, capsys, part):
    alone = run(teacher, rows, tmp_path / "alone")
    before = run(teacher, rows.take(part), tmp_path / "run" / "before")
    read.clear()
    capsys.readouterr()
    made = run(teacher, rows, tmp_path / "run" / "after", known=[tmp_path / "none", tmp_path / "run" / "before"])
    assert sum(read) == 30 - len(part)
    assert f"{len(part)} of 30 texts were labeled before, in {tmp_path / 'run' / 'before'}" in capsys.readouterr().err
    assert (made.logits[part] == before.logits).all(), "what was lent is taken bit for bit"
    assert (np.asarray(made.hidden)[part] == np.asarray(before.hidden)).all()
    np.testing.assert_allclose(made.logits, alone.logits, atol=1e-5)
    np.testing.assert_allclose(np.asarray(made.hidden), np.asarray(alone.hidden), atol=2e-3)
    assert made.manifest == alone.manifest
    assert {p.name for p in (tmp_path / "run" / "after").iterdir()} == {p.name for p in (tmp_path / "alone").iterdir()}


def test_a_part_of_a_larger_set_is_not_read_at_all(teacher, rows, tmp_path, read):
    whole = run(teacher, rows, tmp_path / "whole")
    read.clear()
    made = run(teacher, rows.take(np.arange(31, 3, -2)), tmp_path / "part", known=[tmp_path / "whole"])
    assert not read and (made.logits == whole.logits[31:3:-2]).all()


def test_the_store_with_most_texts_lends(teacher, rows, tmp_path, read):
    for count in (5, 20, 10):
        run(teacher, rows.take(np.arange(count)), tmp_path / str(count))
    read.clear()
    run(teacher, rows, tmp_path / "all", known=[tmp_path / str(n) for n in (5, 20, 10)])
    assert sum(read) == 10


def test_what_was_made_otherwise_lends_nothing(teacher, make_teacher, rows, tmp_path, read):
    some = rows.take(np.arange(20))
    run(make_teacher(seed=2), some, tmp_path / "another teacher")
    run(teacher, some, tmp_path / "other vectors", LabelSettings(hidden="mean", shard_rows=8, label_batch_tokens=48))
    run(teacher, some, tmp_path / "unfinished")
    (tmp_path / "unfinished" / COMPLETE).unlink()
    run(teacher, some, tmp_path / "damaged")
    shard = tmp_path / "damaged" / "shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])
    run(teacher, Rows(some.ids, some.text, some.text, some.label), tmp_path / "pairs")
    known = [p for p in tmp_path.iterdir()]
    assert len(known) == 5
    for n, each in enumerate(known):
        read.clear()
        run(teacher, rows, tmp_path / f"all {n}", known=[each])
        assert sum(read) == 30, each.name


def test_pairs_are_lent_by_both_texts(teacher, rows, tmp_path, read):
    pairs = Rows(rows.ids, rows.text, rows.text[::-1], rows.label)
    run(teacher, pairs.take(np.arange(12)), tmp_path / "before")
    read.clear()
    run(teacher, pairs, tmp_path / "after", known=[tmp_path / "before"])
    assert sum(read) == 31 - 12  # the last pair is the first one


def test_words_are_lent(vocab, rows, tmp_path, monkeypatch):
    teacher = TaggingTeacher.random(vocab, 5, 16, 1, **SMALL)
    text, asked, real = Rows(rows.ids, rows.text, None, no_tags(len(rows))), [], labelling.label_shard
    monkeypatch.setattr(labelling, "label_shard", lambda t, texts, *more: asked.extend(texts) or real(t, texts, *more))
    settings = LabelSettings(shard_rows=8)
    alone = run(teacher, text, tmp_path / "alone", settings)
    run(teacher, text.take(np.arange(0, 30, 3)), tmp_path / "before", settings)
    asked.clear()
    made = run(teacher, text, tmp_path / "after", settings, [tmp_path / "before"])
    assert sorted(asked) == sorted(set(text.text) - set(text.text[:30:3]))
    assert made.logits.lengths.tolist() == alone.logits.lengths.tolist()
    np.testing.assert_allclose(flat(made.logits), flat(alone.logits), atol=1e-5)


def test_a_killed_command_takes_it_again(teacher, rows, tmp_path, monkeypatch, read):
    run(teacher, rows.take(np.arange(0, 30, 2)), tmp_path / "before")
    whole, real = run(teacher, rows, tmp_path / "whole", known=[tmp_path / "before"]), labelling.make_shard

    def killed(teacher, store, shard, *more):
        if shard.number == 2:
            raise KeyboardInterrupt
        real(teacher, store, shard, *more)

    monkeypatch.setattr(labelling, "make_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        run(teacher, rows, tmp_path / "after", known=[tmp_path / "before"])
    monkeypatch.setattr(labelling, "make_shard", real)
    read.clear()
    assert (run(teacher, rows, tmp_path / "after", known=[tmp_path / "before"]).logits == whole.logits).all()
    assert sum(read) == (30 - 16) // 2
    shutil.rmtree(tmp_path / "before")  # the signals are files of their own
    assert (run(teacher, rows, tmp_path / "after").logits == whole.logits).all()
