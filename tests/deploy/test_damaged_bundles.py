"""A bundle whose files do not belong together is refused, and an export that is stopped loses nothing."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.deploy import bundle, card_commands, exporter
from kd_keras.deploy.answer_lines import answer_lines
from kd_keras.deploy.exporter import export
from kd_keras.deploy.runner import Runner, finite
from kd_keras.deploy.settings import ExportSettings
from kd_keras.tasks import Rows, Task

NANO = Path(__file__).parents[2] / "saved_models" / "sst2" / "nano" / "tflite"


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(NANO, tmp_path / "tflite"))


def changed(folder: Path, change) -> Path:
    path = folder / "metadata.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    return folder / "dynamic.tflite"


def entry(about: dict) -> dict:
    return about["models"]["dynamic.tflite"]


def test_words_in_another_order_are_no_vocabulary_of_this_student(folder):
    vocab = folder / "vocab.txt"
    lines = vocab.read_text(encoding="utf-8").splitlines()
    model = changed(folder, lambda about: about.update(vocab_sha256=bundle._sha256(lines)))
    assert bundle.open_model(model)[0].labels == ("negative", "positive")
    vocab.write_text("".join(f"{line}\n" for line in [*lines[:5], *sorted(lines[5:])]), encoding="utf-8")
    with pytest.raises(UserError, match=r"vocab\.txt: is not the vocabulary of this student"):
        bundle.open_model(model)


def test_labels_that_lack_a_line_are_refused(folder):
    (folder / "labels.txt").write_text("positive\n")
    with pytest.raises(UserError, match=r"labels\.txt: has 1 lines, expected 2; export again"):
        bundle.open_model(folder / "dynamic.tflite")


CHANGES = {
    "no task": lambda about: about.pop("task"),
    "a task that is none": lambda about: about.update(task=7),
    "a task without labels": lambda about: about["task"].update(labels=3),
    "no hash": lambda about: entry(about).pop("sha256"),
    "another format": lambda about: entry(about).update(format="zip"),
    "no format": lambda about: entry(about).pop("format"),
    "an entry that is none": lambda about: about["models"].update({"dynamic.tflite": [1]}),
    "no size": lambda about: about.pop("vocab_size"),
    "a size that is none": lambda about: about.update(vocab_size="many"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_metadata_that_was_edited_is_refused_in_one_line(folder, change):
    model = changed(folder, change)
    with pytest.raises(UserError, match="export(ed)? "):
        bundle.open_model(model)
    about = json.loads((folder / "metadata.json").read_text())
    assert set(bundle.models_of(folder, about["student"])) <= {p.name for p in folder.glob("*.tflite")}


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    made = Path(shutil.copytree(trained_run.folder, tmp_path_factory.mktemp("stopped") / "run"))
    export(made, ExportSettings(formats="tflite_float32", tflite_length=4))
    return made


@pytest.mark.parametrize(("error", "there"), [(KeyboardInterrupt, True), (UserError, False)])
def test_a_stopped_export_leaves_the_older_file_and_a_refused_one_removes_it(
    exported, tmp_path, monkeypatch, error, there
):
    run = Path(shutil.copytree(exported, tmp_path / "run"))
    file = run / "tflite" / "float32.tflite"
    assert file.is_file()

    def fails(*_):
        raise error("no")

    monkeypatch.setattr(exporter, "convert", fails)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            export(run, ExportSettings(formats="tflite_float32"))
    else:
        assert export(run, ExportSettings(formats="tflite_float32")).failures == ["no"]
    listed = json.loads((run / "tflite" / "metadata.json").read_text())["models"]
    assert (file.is_file(), "float32.tflite" in listed) == (there, there)
    if there:
        assert bundle.open_model(file)[2]["length"] == 4


def test_numbers_that_are_none_are_refused_in_every_format():
    assert finite(np.ones(2)).tolist() == [1, 1]
    runner = SimpleNamespace(task=Task("toy", "single", ("a", "b")), _scores=lambda rows: np.array([[np.nan, 1.0]]))
    with pytest.raises(UserError, match="the model's outputs are not finite numbers"):
        Runner.scores(runner, Rows(["a"], ["text"], None, np.zeros(1, np.int32)))


def test_small_scores_keep_their_digits():
    task, rows = Task("toy", "regression", ()), Rows(["a"], ["text"], None, np.zeros(1, np.float32))
    (line,) = answer_lines(task, rows, np.array([[1.234567e-5]], np.float32))
    assert json.loads(line)["score"] == 1.23457e-05


def test_the_card_names_the_length_of_the_files():
    task, models = (
        Task("toy", "single", ("a", "b")),
        {"dynamic.tflite": {"format": "tflite_dynamic", "precision": "dynamic"}},
    )
    for length, said in ((5, " --tflite_length=5"), (64, ""), (None, "")):
        models["dynamic.tflite"]["length"] = length
        made = card_commands.made_by(task, models, "", None, 64)
        assert made == f"python -m kd_keras.export --model_dir=RUN --formats=tflite_dynamic{said}"
