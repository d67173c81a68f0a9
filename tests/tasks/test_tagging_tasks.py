"""Taggings from settings to rows: conll2003, panx and files of one's own, draws by language, refusals, the overview."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kd_keras import tasks
from kd_keras.common.errors import UserError
from kd_keras.tasks import Task, TaskSettings, has_label, load_data, load_test, resolve, tagging_sources, words_of
from kd_keras.tasks.__main__ import describe, overview
from kd_keras.tasks.carve import carve, normalised
from kd_keras.tasks.describe_tagging import marked
from kd_keras.tasks.tagged import entity_counts
from kd_keras.tasks.tagging_sources import PANX

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
METRICS = ("entity_f1", "conlleval_f1", "entity_precision", "entity_recall")


def sentences(language, count):
    """Each has one entity, every third of another type."""
    return "".join(f"{language}{n}\tB-{('LOC', 'ORG', 'PER')[n % 3]}\nand\tO\nso\tO\n\n" for n in range(count))


@pytest.fixture
def panx(tmp_path) -> Path:
    for language, count in (("de", 30), ("en", 20), ("zh", 10)):
        folder = tmp_path / language
        folder.mkdir()
        (folder / "train.tsv").write_text(sentences(language, count), encoding="utf-8")
        (folder / "dev.tsv").write_text(sentences(language + "d", count // 2), encoding="utf-8")
    (tmp_path / "zh" / "train.tsv").write_text(sentences("zh", 9) + "a\tO\nb\tI-LOC\n", encoding="utf-8")
    return tmp_path


def languages(rows):
    names, counts = np.unique(rows.group, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def test_panx_has_all_rows_of_all_languages(panx):
    data = load_data(TaskSettings(task="panx", data_dir=str(panx)))
    assert data.task.types == ("LOC", "ORG", "PER") and data.task.metrics == METRICS
    assert languages(data.train) == {"de": 30, "en": 20, "zh": 10} and languages(data.dev) == {
        "de": 15,
        "en": 10,
        "zh": 5,
    }
    assert data.train.ids[30] == "train-en-0" and data.train.text[30] == "en0 and so"
    assert data.train.label[59].tolist() == [0, 1]
    assert data.notes == ["train: I- tags without an entity before them begin one, as in conlleval: zh 1"]
    assert load_test(data.task, str(panx)) is None
    again = Task.from_json(data.task.to_json())
    assert again.is_tagging and again.types == data.task.types and again.labels == data.task.labels
    assert again.metrics == METRICS


def test_folders_that_are_no_language_are_named(panx):
    """Else a language is missing from a model for all of them, and nobody sees it."""
    for name in ("zh-Hans", "pt_BR", "fr"):
        (panx / name).mkdir()
    (panx / "zh-Hans" / "train.tsv").write_text(sentences("zh", 3))
    (panx / "fr" / "train.conll").write_text(sentences("fr", 3))
    notes = load_data(TaskSettings(task="panx", data_dir=str(panx))).notes
    (note,) = (n for n in notes if "left out" in n)
    assert note.endswith("with files train.tsv, dev.tsv, test.tsv: fr pt_BR zh-Hans")
    assert not any("left out" in n for n in load_data(TaskSettings("panx", str(panx), languages="en")).notes)


def test_languages_that_are_chosen(panx):
    data = load_data(TaskSettings(task="panx", data_dir=str(panx), languages="zh, en"))
    assert languages(data.train) == {"en": 20, "zh": 10}
    with pytest.raises(
        UserError, match="--languages=en,dee: no language 'dee' in .* Did you mean de.* There: de en zh"
    ):
        load_data(TaskSettings(task="panx", data_dir=str(panx), languages="en,dee"))
    with pytest.raises(UserError, match="expected all, or codes"):
        load_data(TaskSettings(task="panx", data_dir=str(panx), languages=","))
    with pytest.raises(UserError, match="--languages=en: belongs to --task=panx, not to --task=sst2"):
        resolve(TaskSettings(languages="en", task="sst2"))


@pytest.mark.parametrize("code", ["en", "simple", "zh-min-nan", "be-x-old"])
def test_panx_in_wikianns_layout(tmp_path, code):
    (tmp_path / "wikiann" / code).mkdir(parents=True)
    for name in ("train", "dev", "test"):
        (tmp_path / "wikiann" / code / name).write_text(f"{code}:{name}\tB-LOC\n{code}:is\tO\n", encoding="utf-8")
    data = load_data(TaskSettings(task="panx", data_dir=str(tmp_path)))
    assert data.train.text == ["train is"] and data.dev.text == ["dev is"] and data.train.group == [code]
    assert data.notes[0] == f"train: words begin with their language, which is removed ({code})"
    assert load_test(data.task, str(tmp_path)).ids == [f"test-{code}-0"]


def test_a_language_without_a_test_file_is_named(panx, capsys):
    (panx / "en" / "test.tsv").write_text("a\tO\n", encoding="utf-8")
    assert load_test(PANX, str(panx)).group == ["en"]
    assert "test: of 3 languages these have none: de zh" in capsys.readouterr().err


def test_panx_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="expected a folder a language .*found nothing"):
        load_data(TaskSettings(task="panx", data_dir=str(tmp_path)))
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "dev.tsv").write_text("a\tO\n", encoding="utf-8")
    with pytest.raises(UserError, match="no train.tsv .*found dev.tsv"):
        load_data(TaskSettings(task="panx", data_dir=str(tmp_path)))


def test_rows_of_each_language_are_drawn_and_a_smaller_draw_is_part_of_a_larger(panx):
    def data(**how):
        return load_data(TaskSettings(task="panx", data_dir=str(panx), **how))

    few, more = data(max_per_language=5), data(max_per_language=15)
    assert languages(few.train) == {"de": 5, "en": 5, "zh": 5} and languages(more.train) == {
        "de": 15,
        "en": 15,
        "zh": 10,
    }
    assert set(few.train.ids) < set(more.train.ids) and few.train.ids != data().train.ids[:15]
    assert "train: 15 of 60 rows, at most 5 a language" in few.notes[-1]
    alone = data(max_per_language=5, languages="en")
    assert set(alone.train.ids) < set(few.train.ids), "another language moves no draw"
    dev = data(dev_per_language=6).dev
    assert languages(dev) == {"de": 6, "en": 6, "zh": 5} and dev.ids == sorted(dev.ids, key=data().dev.ids.index)


def test_few_labels_of_each_language(panx):
    def data(seed=1, **how):
        return load_data(TaskSettings(task="panx", data_dir=str(panx), labels_seed=seed, **how))

    few, more, whole = data(labels_per_language=4), data(labels_per_language=12), data()
    assert languages(few.train) == {"de": 4, "en": 4, "zh": 4} and languages(few.rest) == {"de": 26, "en": 16, "zh": 6}
    assert set(few.train.ids) < set(more.train.ids) and set(few.train.ids) != set(
        data(2, labels_per_language=4).train.ids
    )
    assert not has_label(few.rest).any() and has_label(few.train).all()
    by_id = dict(zip(whole.train.ids, range(60), strict=True))
    for rows in (few.train, few.rest):
        assert rows.text == [whole.train.text[by_id[i]] for i in rows.ids]
    assert [few.train.label[n].tolist() for n in range(12)] == [
        whole.train.label[by_id[i]].tolist() for i in few.train.ids
    ]
    assert few.dev.ids == whole.dev.ids and "12 of 60 training rows keep their tags" in few.notes[-1]
    assert data(labels_per_language=99).rest is None


@pytest.fixture
def own(tmp_path) -> str:
    path = tmp_path / "own.conll"
    path.write_text(sentences("x", 40), encoding="utf-8")
    return str(path)


def test_files_of_ones_own(own, tmp_path):
    data = load_data(TaskSettings(task="custom", tagging=True, train_file=own))
    assert data.task.types == ("LOC", "ORG", "PER") and data.task.metric == "entity_f1" and data.task.is_tagging
    assert len(data.train) == 36 and len(data.dev) == 4 and data.train.group is None
    other = load_data(
        TaskSettings(
            task="custom", tagging=True, train_file=own, dev_file=own, labels="PER,LOC,ORG", metric="entity_recall"
        )
    )
    assert other.task.labels[:3] == ("O", "B-PER", "I-PER") and other.train.label[0].tolist() == [3, 0, 0]
    assert other.task.metric == "entity_recall" and other.task.chosen_metric
    full = resolve(TaskSettings(task="custom", tagging=True, train_file=own, labels="O,B-PER,I-PER,B-LOC,I-LOC"))
    assert full.types == ("PER", "LOC")
    with pytest.raises(UserError, match="line 5: the tag 'B-ORG' is of an unknown type"):
        load_data(TaskSettings(task="custom", tagging=True, train_file=own, labels="PER,LOC"))
    with pytest.raises(UserError, match="all tags in this order"):
        resolve(TaskSettings(task="custom", tagging=True, train_file=own, labels="O,B-PER,B-LOC,I-PER,I-LOC"))
    lacks = tmp_path / "lacks.conll"
    lacks.write_text("a\tB-PER\n", encoding="utf-8")
    short = load_data(TaskSettings(task="custom", tagging=True, train_file=own, dev_file=str(lacks)))
    assert "dev: has no entity of 2 of 3 types (LOC, ORG)" in short.notes
    empty = tmp_path / "empty.conll"
    empty.write_text("a\tO\n", encoding="utf-8")
    with pytest.raises(UserError, match="expected entities, found only the tag O"):
        resolve(TaskSettings(task="custom", tagging=True, train_file=str(empty)))


@pytest.mark.parametrize("labels", ["B-LOC,I-LOC", "LOC,I-LOC", "LOC,O"])
def test_tags_are_no_types(own, labels):
    with pytest.raises(UserError, match=f"--labels={labels}: expected types of entities, such as LOC,PER, or all tags"):
        resolve(TaskSettings(task="custom", tagging=True, train_file=own, labels=labels))
    assert resolve(TaskSettings(task="custom", tagging=True, train_file=own, labels="E-mail,LOC")).types[0] == "E-mail"


def test_train_is_read_once_and_what_is_wrong_with_it_is_said(own, tmp_path, monkeypatch):
    read, really = [], tagging_sources.read_tagged
    monkeypatch.setattr(tagging_sources, "read_tagged", lambda path, *a: read.append(path) or really(path, *a))
    settings = TaskSettings(task="custom", tagging=True, train_file=own, dev_file=own)
    data = load_data(settings)
    assert read == [own, own], "train and dev"
    again = load_data(settings)
    assert again.train.fingerprint() == data.train.fingerprint() and again.notes == data.notes
    bad = tmp_path / "bad.conll"
    bad.write_text("a\tB-LOC\n\nb\tX\n\n" * 7, encoding="utf-8")
    settings = TaskSettings(task="custom", tagging=True, train_file=str(bad), dev_file=own)
    with pytest.raises(UserError, match="line 3: expected O, or a tag.*--on_bad_row=skip leaves such rows out"):
        load_data(settings)
    skips = TaskSettings(task="custom", tagging=True, train_file=str(bad), dev_file=str(bad), on_bad_row="skip")
    notes = load_data(skips).notes
    assert any(note.startswith("14 rows skipped: ") and note.count("line 3") == 1 for note in notes)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"labels_per_class": 5}, "--labels_per_class=5: does not go with --tagging"),
        ({"multilabel": True}, "--multilabel: does not go with --tagging"),
        ({"regression": True}, "--regression: does not go with --tagging"),
        ({"text_b_column": "b"}, "--text_b_column=b: does not go with --tagging"),
        ({"class_weights": "balanced"}, "--class_weights=balanced: task custom tags words"),
        (
            {"metric": "accuracy"},
            "--metric=accuracy: task custom has tags of words; expected one of entity_f1, conlleval_f1",
        ),
    ],
)
def test_what_does_not_go_with_a_tagging(own, how, says):
    with pytest.raises(UserError, match=says):
        load_data(TaskSettings(task="custom", tagging=True, train_file=own, **how))


@pytest.mark.parametrize(
    "how", [{"max_per_language": 5}, {"labels_per_language": 5}, {"dev_per_language": 5}, {"tag_column": 2}]
)
def test_what_only_goes_with_a_tagging(how):
    ((name, value),) = how.items()
    with pytest.raises(UserError, match=f"--{name}={value}: needs a task that tags words; task sst2 is"):
        resolve(TaskSettings(task="sst2", **how))


def test_other_tasks_refuse_its_metrics_and_format(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nx,n\ny,p\n", encoding="utf-8")
    for how, says in (({"metric": "entity_f1"}, "--metric=entity_f1: task custom has labels"),
                      ({"format": "conll"}, "--format=conll: this format needs --tagging")):  # fmt: skip
        with pytest.raises(UserError, match=says):
            load_data(TaskSettings(task="custom", train_file=str(path), dev_file=str(path), **how))
    with pytest.raises(UserError, match="--tagging belongs to --task=custom"):
        resolve(TaskSettings(task="sst2", tagging=True))


def test_few_labels_of_a_file_of_one_language(own):
    data = load_data(TaskSettings(task="custom", tagging=True, train_file=own, labels_per_language=7))
    assert len(data.train) == 7 and len(data.rest) == 29


def test_dev_is_carved_by_language_and_no_sentence_is_on_both_sides(panx):
    train = load_data(TaskSettings(task="panx", data_dir=str(panx))).train
    twice = train.take([*range(60), *range(60)])
    rest, dev = carve(twice, 0.2, "toy")
    assert languages(dev) == {"de": 12, "en": 8, "zh": 4} and len(rest) + len(dev) == 120
    assert not {normalised(t) for t in rest.text} & {normalised(t) for t in dev.text}


@pytest.mark.parametrize("names", [("train.txt", "valid.txt", "test.txt"), ("eng.train", "eng.testa", "eng.testb"),
                                   ("conll2003/train.txt", "conll2003/valid.txt", "conll2003/test.txt")])  # fmt: skip
def test_conll2003_under_its_names(tmp_path, names):
    (tmp_path / "conll2003").mkdir()
    for name in names:
        (tmp_path / name).write_text("-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nis VB O O\n", encoding="utf-8")
    data = load_data(TaskSettings(task="conll2003", data_dir=str(tmp_path)))
    assert data.train.text == ["EU is"] and data.train.label[0].tolist() == [5, 0] and len(data.dev) == 1
    assert data.task.types == ("LOC", "MISC", "ORG", "PER")
    assert load_test(data.task, str(tmp_path)).ids == ["test-0"]
    assert any("tags are IO, kept as IOB2" in note for note in data.notes)


def test_what_tasks_shows(panx):
    data = load_data(TaskSettings(task="panx", data_dir=str(panx)))
    shown = describe(data.task, "train", data.train).splitlines()
    assert shown[0] == "train: 60 sentences, 179 words" and shown[1] == "    entities: LOC 21, ORG 20, PER 19"
    assert "    de              30        10        10        10" in shown
    assert "    train-de-0 [de0 LOC] and so" in shown and max(map(len, shown)) <= 110
    assert marked(data.task, data.train, 59) == "a [b LOC]"
    assert "tagging, selected by entity_f1, 3 types of entities: LOC, ORG, PER" in overview()
    two = data.train.take([0])
    assert (
        marked(
            data.task, tasks.Rows(two.ids, ["A B c D"], None, type(two.label).of([np.array([5, 6, 0, 1], np.int32)])), 0
        )
        == "[A B PER] c [D LOC]"
    )


@pytest.mark.skipif(not (SHARED / "panx").is_dir(), reason="needs ../shared/data/panx")
def test_real_panx():
    data = load_data(TaskSettings(task="panx", data_dir=str(SHARED / "panx"), languages="ja,sw,yo"))
    assert languages(data.train)["ja"] == 20_000 and max(languages(data.dev).values()) == 250
    assert sum(data.train.label.lengths) == sum(len(words_of(t)) for t in data.train.text)
    assert any("ja " in note and "without an entity before them" in note for note in data.notes)


@pytest.mark.skipif(not (SHARED / "conll2003").is_dir(), reason="needs ../shared/data/conll2003")
def test_real_conll2003():
    data = load_data(TaskSettings(task="conll2003", data_dir=str(SHARED / "conll2003")))
    assert len(data.train) == 14_041 and len(data.dev) == 3_250
    # Tjong Kim Sang and De Meulder 2003, table 2.
    assert entity_counts(data.train.label, 4).tolist() == [7140, 3438, 6321, 6600]
    assert entity_counts(data.dev.label, 4).tolist() == [1837, 922, 1341, 1842]
