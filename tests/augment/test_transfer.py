"""The transfer set: provenance, repeats, pairs, workers, disk."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_keras.augment import augmentation, tagging, transfer
from kd_keras.augment.augmentation import augmented
from kd_keras.augment.parts import alone
from kd_keras.augment.processes import Processes
from kd_keras.augment.settings import AugmentSettings
from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows

ALL = AugmentSettings(augment="all", n_iter=6, augment_workers=1)


@pytest.fixture
def augment(tmp_path):
    """What ``augmented`` gives, each time made anew."""
    numbers = itertools.count()

    def made(train: Rows, settings: AugmentSettings, crew=Processes(1)):  # noqa: B008
        path = tmp_path / f"{next(numbers)}" / "all.parquet"
        found = augmented(train, settings, path, crew=crew)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        return found

    return made


def pairs(count: int) -> Rows:
    text = [f"A man number {i} walks a dog" for i in range(count)]
    text_b = [f"The woman {i} reads the big book" for i in range(count)]
    return Rows([f"train-{i}" for i in range(count)], text, text_b, np.arange(count, dtype=np.int32) % 2)


def test_every_new_row_names_its_source_and_rule(toy_rows, augment):
    train = toy_rows(40)
    made = augment(train, ALL)
    assert len(made) > 40 and len(set(made.rows.ids)) == len(made)
    assert (made.rows.label == -1).all() and made.rows.text_b is None
    for row_id, text, source, rule in zip(made.rows.ids, made.rows.text, made.source, made.rule, strict=True):
        assert row_id.split("/")[0] == train.ids[source]
        old, new = train.text[source].split(), text.split()
        assert rule and set(rule.split("+")) <= {"mask", "pos", "ngram"}
        assert ("[MASK]" in new) == ("mask" in rule.split("+"))
        assert (len(new) < len(old)) == ("ngram" in rule.split("+"))
    assert made.source_labels(train).tolist() == train.label[made.source].tolist()
    assert set(made.rule) >= {"mask", "pos", "ngram"}


def test_no_text_comes_twice_and_none_is_a_training_text(toy_rows, augment):
    train = toy_rows(60)
    made = augment(train, ALL)
    assert len(set(made.rows.text)) == len(made) and not set(made.rows.text) & set(train.text)
    assert all(t.strip() for t in made.rows.text)
    assert f"{len(made):,} new rows from 360 draws" in made.notes[0]
    assert f"{360 - len(made):,} repeats or unchanged ones dropped" in made.notes[0]


@pytest.mark.parametrize("rule", ["mask", "pos", "ngram"])
def test_one_rule_alone(toy_rows, augment, rule):
    made = augment(toy_rows(40), replace(ALL, augment=rule, n_iter=10))
    assert set(made.rule) == {rule}


def test_other_seeds_other_rows_and_a_row_is_its_own_whatever_stands_beside_it(toy_rows, augment):
    train = toy_rows(40)
    masks = replace(ALL, augment="mask")
    whole = augment(train, masks)
    assert augment(train, replace(masks, augment_seed=2)).rows.text != whole.rows.text
    tail = augment(train.take(range(20, 40)), masks)
    assert set(tail.rows.text) >= {t for t, s in zip(whole.rows.text, whole.source, strict=True) if s >= 20}


def test_who_makes_the_parts_changes_nothing(toy_rows, augment, monkeypatch):
    monkeypatch.setattr(augmentation, "_ROWS", 10)
    train = toy_rows(60)

    def last_first(opens, parts, jobs):
        for job in reversed(list(jobs)):
            parts.make(opens(), job)
            yield len(job.items)

    made = [augment(train, ALL, crew) for crew in (Processes(1), Processes(2), last_first)]
    for name, most in (("_ROWS", 1000), ("_DRAWS", 12), ("_LETTERS", 1000)):  # one part, two rows, a few letters
        monkeypatch.setattr(augmentation, name, most)
        made.append(augment(train, ALL))
    first, *others = [m.rows.text.path.read_bytes() for m in made]
    assert len(made[0]) > 60 and all(other == first for other in others)


def test_a_killed_command_goes_on(toy_rows, tmp_path, augment, monkeypatch):
    monkeypatch.setattr(augmentation, "_ROWS", 10)
    train, path, made = toy_rows(60), tmp_path / "all.parquet", []

    class Killed(BaseException):
        pass

    def crew(opens, parts, jobs):
        maker = opens()
        for job in jobs:
            if len(made) == 8:
                raise Killed
            parts.make(maker, job)
            made.append((parts.folder.name, job.number))
            yield len(job.items)

    with pytest.raises(Killed):
        augmented(train, ALL, path, crew=crew)
    made.append(None)
    again = augmented(train, ALL, path, crew=crew)
    assert made == [*(("tags", n) for n in range(6)), *(("rows", n) for n in (0, 1)), None,
                    *(("rows", n) for n in range(2, 6))]  # fmt: skip
    assert path.read_bytes() == augment(train, ALL).rows.text.path.read_bytes()
    assert len(again) and not path.with_suffix(".parts").exists()


def test_parts_have_few_letters(toy_rows, monkeypatch):
    rows = toy_rows(50)
    monkeypatch.setattr(augmentation, "_LETTERS", 1000)
    chunks = list(augmentation._Chunks(rows, 5))
    assert [t for c in chunks for (t,) in c.texts] == rows.text and [c.number for c in chunks] == [*range(len(chunks))]
    assert all(sum(len(t) for (t,) in c.texts[:-1]) < 200 for c in chunks) and len(chunks) > 5
    assert [c.start for c in chunks] == np.cumsum([0, *map(len, chunks[:-1])]).tolist()


def test_a_killed_command_of_other_settings_leaves_no_row(toy_rows, tmp_path, augment, monkeypatch):
    monkeypatch.setattr(augmentation, "_ROWS", 10)
    train, path = toy_rows(60), tmp_path / "all.parquet"

    def crew(opens, parts, jobs):
        for n, job in enumerate(jobs):
            if parts.folder.name == "rows" and n == 3:
                raise KeyboardInterrupt
            parts.make(opens(), job)
            yield len(job.items)

    with pytest.raises(KeyboardInterrupt):
        augmented(train, ALL, path, crew=crew)
    other = replace(ALL, p_mask=0.9, p_pos=0.0)
    assert augmented(train, other, path).rows.text == augment(train, other).rows.text


def test_another_command_waits(toy_rows, tmp_path, augment, monkeypatch, capfd):
    monkeypatch.setattr(augmentation, "_ROWS", 10)
    train, path, half, go, found = toy_rows(60), tmp_path / "all.parquet", threading.Event(), threading.Event(), []

    def slow(opens, parts, jobs):
        for n, job in enumerate(jobs):
            if parts.folder.name == "rows" and n == 2:
                half.set()
                assert go.wait(60)
            parts.make(opens(), job)
            yield len(job.items)

    first = threading.Thread(target=lambda: found.append(augmented(train, ALL, path, crew=slow)))
    first.start()
    assert half.wait(60)
    second = threading.Thread(target=lambda: found.append(augmented(train, ALL, path, crew=None)))  # it makes nothing
    second.start()
    said, end = "", time.monotonic() + 60
    while "another command makes it" not in said and time.monotonic() < end:
        said += capfd.readouterr().err
    go.set()
    first.join()
    second.join()
    assert "another command makes it" in said and len(found) == 2
    assert all(made.rows.text == augment(train, ALL).rows.text for made in found)


def test_parts_are_named_as_every_machine_sees_them(toy_rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    def crew(opens, parts, jobs):
        seen.append(parts.folder)
        tags = getattr(opens, "args", ())[2:3]
        seen.extend(t.folder for t in tags)
        yield from alone(opens, parts, jobs)

    augmented(toy_rows(20), ALL, Path("here/all.parquet"), crew=crew)
    assert len(seen) == 3 and all(folder.is_absolute() for folder in seen)


def test_pairs_change_first_second_and_both_in_turn(augment):
    train = pairs(30)
    made = augment(train, replace(ALL, n_iter=9, p_mask=0.5))
    assert made.rows.text_b is not None
    seen = set()
    for row_id, a, b, source in zip(made.rows.ids, made.rows.text, made.rows.text_b, made.source, strict=True):
        turn = int(row_id.split("/")[1]) % 3
        changed = (a != train.text[source], b != train.text_b[source])
        assert not (turn == 0 and changed[1]) and not (turn == 1 and changed[0])
        seen.add((turn, changed))
    assert {(0, (True, False)), (1, (False, True)), (2, (True, True))} <= seen


def test_a_text_without_a_word_is_counted_and_left(toy_rows, augment):
    train = toy_rows(10)
    train.text[3] = " \t "
    made = augment(train, ALL)
    assert 3 not in made.source.tolist()
    assert made.notes[1] == "augmentation: 1 rows have no word to change"


def test_rules_that_make_nothing_stop_the_run(toy_rows, augment):
    with pytest.raises(UserError, match="--augment=mask: none of 24 draws made a text that train lacks"):
        augment(toy_rows(4), replace(ALL, augment="mask", p_mask=0.0))


def test_regression_rows_have_nan_for_a_label(augment):
    train = pairs(6)
    train = replace(train, label=train.label.astype(np.float32))
    made = augment(train, replace(ALL, augment="mask"))
    assert np.isnan(made.rows.label).all() and made.rows.label.dtype == np.float32
    assert made.source_labels(train).tolist() == train.label[made.source].tolist()


def test_what_is_on_disk_is_found_again_and_only_for_its_key(toy_rows, tmp_path, monkeypatch):
    train, path = toy_rows(30), tmp_path / "all.parquet"
    first = augmented(train, ALL, path)
    monkeypatch.setattr(augmentation, "_augment", lambda *a: pytest.fail("made again"))
    again = augmented(train, replace(ALL, augment_workers=3), path)
    elsewhere = augmented(train, ALL, tmp_path / "run" / "all.parquet", [tmp_path / "none", path])
    for other in (again, elsewhere):
        assert (other.rows.ids, other.rows.text, other.rule, other.notes) == (
            first.rows.ids, first.rows.text, first.rule, first.notes,
        )  # fmt: skip
        assert (other.source == first.source).all() and (other.rows.label == first.rows.label).all()
    assert (tmp_path / "run" / "all.parquet").is_file()
    for changed in (replace(ALL, n_iter=7), replace(ALL, p_mask=0.2), replace(ALL, augment_seed=9)):
        with pytest.raises(pytest.fail.Exception):
            augmented(train, changed, path)
    with pytest.raises(pytest.fail.Exception):
        augmented(train.take(range(29)), ALL, path)


def test_a_damaged_file_is_said_and_made_again(toy_rows, tmp_path, capsys):
    path = tmp_path / "all.parquet"
    whole = augmented(toy_rows(10), ALL, path)
    texts = list(whole.rows.text)
    for _ in range(2):
        path.write_bytes(path.read_bytes()[:-40])
        assert list(augmented(toy_rows(10), ALL, path).rows.text) == texts
        assert "all.parquet: damaged transfer set" in (said := capsys.readouterr().err) and "made again" in said
    path.write_bytes(path.read_bytes()[:-40])
    here = tmp_path / "run" / "all.parquet"
    assert len(augmented(toy_rows(10), ALL, here, [path])) and here.is_file(), "another run's damage stops no run"


def test_hanta_tags_english_words():
    tag = tagging.make_tagger("hanta")
    words = "The old man quickly reads a book .".split()
    tags = tag(words)
    assert len(tags) == len(words)
    article, adjective, noun, adverb, verb, again, other_noun, _ = tags
    assert article == again and noun == other_noun
    assert len({article, adjective, noun, adverb, verb}) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_iter": 0}, "--n_iter=0: expected at least 1"),
        ({"p_mask": 0.7, "p_pos": 0.4}, "--p_mask=0.7 and --p_pos=0.4: .* add up to at most 1, found 1.1"),
        ({"p_ng": 1.5}, "--p_ng=1.5: expected at least 0 and at most 1"),
        ({"p_mask": float("nan")}, "--p_mask=nan"),
        ({"augment": "masks"}, "--augment=masks: expected one of .* Did you mean mask"),
        ({"max_ngram": 0}, "--max_ngram=0"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(UserError, match=message):
        AugmentSettings(**change)


def test_a_tagger_that_is_not_installed_is_named(monkeypatch, toy_rows, augment):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="--tagger=spacy: needs the packages spacy, en_core_web_sm"):
        augment(toy_rows(4), replace(ALL, tagger="spacy"))
    with pytest.raises(
        UserError, match=r"--tagger=hanta: needs HanTa, which is not installed; pip .*kd_keras\[augment\]"
    ):
        augment(toy_rows(4), ALL)
    augment(toy_rows(4), replace(ALL, tagger="spacy", augment="mask"))  # which asks for no tag


def test_the_command_writes_rows_that_label_reads(run_python, tmp_path, toy_rows, write_csv):
    rows = toy_rows(30)
    train = write_csv(tmp_path / "train.csv", rows.text, rows.label)
    out = tmp_path / "more.jsonl"
    arguments = ["--task=custom", f"--train_file={train}", f"--output={out}", "--n_iter=3"]
    done = run_python("-m", "kd_keras.transfer", *arguments, "--augment=all")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert f"{len(lines)} new rows" in done.stdout and len(lines) > 30
    assert all(
        set(line) == {"id", "text", "source", "rule"} and line["id"].startswith(line["source"]) for line in lines
    )
    text = tmp_path / "text.txt"
    text.write_text(f"Quite another text. And one more of them.\n{rows.text[0]}\n", encoding="utf-8")
    done = run_python("-m", "kd_keras.transfer", *arguments, f"--unlabeled_files={text}")
    assert done.returncode == 0 and "1 repeats" in done.stderr, done.stderr
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == ["Quite another text.", "And one more of them."]
    assert {(line["source"], line["rule"]) for line in lines} == {(None, "unlabeled")}
    for wrong, said in (([], "--augment=none makes no text"), (["--augment=all", "--n_iter=0"], "--n_iter=0")):
        refused = run_python("-m", "kd_keras.transfer", *arguments, *wrong)
        assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1


def test_a_folder_with_a_colon_is_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("exp:1/a%20[b] #.parquet")
    augmented(pairs(4), replace(ALL, augment="mask"), path)
    got = transfer.load(path, None, np.zeros(0, np.int32))
    assert list(got.rows.text) and all("[MASK]" in a + b for a, b in zip(got.rows.text, got.rows.text_b, strict=True))


def test_what_a_killed_command_left_goes_when_the_rows_are_found(toy_rows, tmp_path):
    train, path = toy_rows(20), tmp_path / "all.parquet"
    augmented(train, ALL, path)
    left = tmp_path / "all.parts" / "rows" / "part-000000.npy"
    left.parent.mkdir(parents=True)
    left.touch()
    augmented(train, ALL, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
