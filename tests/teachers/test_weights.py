"""Weights as others save them: the same numbers behind any names, or an error that says what does not fit."""

from __future__ import annotations

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from kd_keras.common.errors import UserError
from kd_keras.teachers.checkpoints import find_checkpoint, from_folder
from kd_keras.teachers.weights import find_weights

TEXTS = ["good film", "the plot is dull", "a lovely film and a very bad plot"]
ONE = "encoder.layer.1.attention.self.key.weight"


@pytest.fixture
def folder(bert_folder, tmp_path):
    return shutil.copytree(bert_folder, tmp_path / "bert")


@pytest.fixture(scope="module")
def arrays(bert_folder):
    """BERT's name → array, in PyTorch's orientation."""
    return from_folder("x", bert_folder).found.arrays()


@pytest.fixture(scope="module")
def state(arrays):
    """As transformers' PyTorch model saves itself."""
    return {name if name.startswith("classifier") else f"bert.{name}": a for name, a in arrays.items()}


def write(folder, tensors, name="model.safetensors", **metadata):
    (folder / "model.safetensors").unlink(missing_ok=True)
    whole = {n: np.ascontiguousarray(a) for n, a in tensors.items()}
    save_file(whole, folder / name, metadata or None)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flax(name: str) -> tuple[str, bool]:
    head, last = name.rsplit(".", 1)
    if last == "weight" and "embeddings.weight" in name:
        return f"{head}.embedding", False
    if last == "weight" and "LayerNorm" in name:
        return f"{head}.scale", False
    return (f"{head}.kernel", True) if last == "weight" else (name, False)


RENAMED = {
    "plain": lambda n: n,
    "DataParallel": lambda n: f"module.{n}",
    "a model's attribute": lambda n: f"model.{n}",
    "torch.compile": lambda n: f"_orig_mod.{n}",
    "compiled in DataParallel in Lightning": lambda n: f"model._orig_mod.module.{n}",
    "compiled encoder": lambda n: n.replace("bert.", "bert._orig_mod."),
    "FSDP in every layer": lambda n: n.replace("bert.", "bert._fsdp_wrapped_module.").replace(
        "layer.1.", "layer.1._fsdp_wrapped_module."),
    "encoder of a class of one's own": lambda n: n.replace("bert.", "net.encoder."),
    "sentence-transformers": lambda n: n.replace("bert.", "0.auto_model."),
    "old gamma and beta": lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"),
}  # fmt: skip


@pytest.mark.parametrize("how", RENAMED)
def test_weights_are_found_behind_any_names(folder, arrays, state, how):
    write(folder, {RENAMED[how](name): a for name, a in state.items()})
    found = from_folder("x", folder).found
    assert found.classes == 2 and not found.extra
    got = found.arrays()
    assert got.keys() == arrays.keys()
    for name, a in arrays.items():
        np.testing.assert_array_equal(got[name], a, name)


def tf_names(arrays, scope):
    out = {}
    for name, a in arrays.items():
        name = name.replace("layer.", "layer_._").replace(".", "/").replace("layer_/_", "layer_._")
        kernel = name.endswith("weight") and a.ndim == 2 and "embeddings" not in name
        out[f"{scope}{name.removesuffix('weight') + 'kernel' if kernel else name}:0"] = a.T if kernel else a
    return out


@pytest.mark.parametrize("scope", ["", "tf_bert_for_sequence_classification_3/", "mine/deep/"])
def test_another_tensorflow_scope(folder, arrays, scope):
    encoder = tf_names({n: a for n, a in arrays.items() if not n.startswith("classifier")}, f"{scope}bert/")
    head = tf_names({n: a for n, a in arrays.items() if n.startswith("classifier")}, scope)
    write(folder, encoder | head)
    got = from_folder("x", folder).found.arrays()
    assert all((got[name] == a).all() for name, a in arrays.items()) and len(got) == len(arrays)


def test_flax_names(folder, arrays, state):
    renamed = {name: flax(name) for name in state}
    write(folder, {new: state[name].T if turned else state[name] for name, (new, turned) in renamed.items()})
    got = from_folder("x", folder).found.arrays()
    assert all((got[name] == a).all() for name, a in arrays.items()) and len(got) == len(arrays)


def test_an_h5_file_of_transformers(folder, arrays, bert_folder):
    from kd_keras.teachers.bert import Teacher

    teacher = Teacher.load(find_checkpoint(str(bert_folder)), 2, 16)
    teacher.bert.save_pretrained(folder, safe_serialization=False)
    (folder / "model.safetensors").unlink()
    found = from_folder("x", folder)
    assert found.weights.name == "tf_model.h5" and not found.read_otherwise
    got = found.found.arrays()
    assert all((got[name] == a).all() for name, a in arrays.items()) and len(got) == len(arrays)
    assert (Teacher.load(found, 2, 16)(TEXTS) == teacher(TEXTS)).all()
    whole = (folder / "tf_model.h5").read_bytes()
    (folder / "tf_model.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"tf_model.h5 cannot be loaded .*cut short"):
        from_folder("x", folder)


def test_a_teacher_of_prefixed_weights_gives_the_same_logits(folder, state, bert_folder):
    from kd_keras.teachers.bert import Teacher

    want = Teacher.load(find_checkpoint(str(bert_folder)), 2, 16)(TEXTS)
    padded = np.concatenate([state["bert.embeddings.word_embeddings.weight"], np.ones((5, 16), np.float32)])
    write(folder, {f"module.{n}": a for n, a in (state | {"bert.embeddings.word_embeddings.weight": padded}).items()})
    change_config(folder, max_position_embeddings=4096)
    checkpoint = find_checkpoint(str(folder))
    assert checkpoint.positions == 64 and checkpoint.read_otherwise["read"]["max_position_embeddings"] == 64
    teacher = Teacher.load(checkpoint, 2, 16, seed=5, own_classifier=True)
    np.testing.assert_array_equal(teacher(TEXTS), want)
    assert teacher.bert.config.vocab_size == len(padded) and teacher.bert.config.max_position_embeddings == 64
    with pytest.raises(UserError, match="--teacher_max_length=65: .* at most 64 tokens"):
        checkpoint.check_length(65)
    teacher.save(folder / "saved", key={"max_length": 16})
    again = Teacher.load_finished(from_folder("y", folder / "saved"))
    assert again.fingerprint() == teacher.fingerprint()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(folder, arrays, state, dtype):
    write(folder, {n: a.astype(dtype) for n, a in state.items()})
    got = from_folder("x", folder).found.arrays()
    assert got[ONE].dtype == np.float32
    np.testing.assert_array_equal(got[ONE], arrays[ONE].astype(dtype).astype(np.float32))


def test_heads_that_nobody_reads_are_listed(folder, state):
    more = {"cls.predictions.bias": np.ones(3, np.float32), "cls.seq_relationship.weight": np.ones((2, 16), np.float32),
            "bert.embeddings.position_ids": np.arange(64)[None]}  # fmt: skip
    write(folder, state | more)
    checkpoint = from_folder("x", folder)
    assert sorted(checkpoint.found.extra) == ["cls.predictions.bias", "cls.seq_relationship.weight"]
    assert any("2 tensors are not read" in note and "cls.predictions.bias" in note for note in checkpoint.notes)
    assert not checkpoint.read_otherwise, "keys of before must stay"


def test_a_tied_tensor_is_found_under_its_other_name(folder, arrays, state):
    tied = dict(state)
    tied["cls.predictions.decoder.weight"] = tied.pop("bert.embeddings.word_embeddings.weight")
    write(folder, tied, **{"bert.embeddings.word_embeddings.weight": "cls.predictions.decoder.weight"})
    got = from_folder("x", folder).found.arrays()
    np.testing.assert_array_equal(got["embeddings.word_embeddings.weight"], arrays["embeddings.word_embeddings.weight"])


def without(*names):
    return lambda state: {n: a for n, a in state.items() if n not in names}


def with_(**tensors):
    return lambda state: state | {n.replace("__", "."): a for n, a in tensors.items()}


REFUSED = {
    "one missing": (without(f"bert.{ONE}"), f"missing: {ONE}"),
    "half a classifier": (without("classifier.weight"), "missing: classifier.weight"),
    "the other half": (without("classifier.bias"), "missing: classifier.bias"),
    "half a pooler": (without("bert.pooler.dense.bias"), "missing: pooler.dense.bias"),
    "a layer more": (with_(bert__encoder__layer__2__output__dense__bias=np.ones(16, np.float32)),
                     "unexpected: bert.encoder.layer.2.output.dense.bias"),
    "an input more": (with_(bert__embeddings__task_type_embeddings__weight=np.ones((3, 16), np.float32)),
                      "unexpected: bert.embeddings.task_type_embeddings.weight"),
    "another shape": (lambda s: s | {f"bert.{ONE}": np.ones((16, 8), np.float32)},
                      r"of another shape: encoder.layer.1.* \[16, 8\] instead of \[16, 16\]"),
    "a head of another shape": (lambda s: s | {"classifier.bias": np.ones(3, np.float32)},
                                r"of another shape: classifier.bias \[3\] instead of \[2\]"),
    "whole numbers": (lambda s: s | {f"bert.{ONE}": np.ones((16, 16), np.int8)}, f"no floating-point numbers: {ONE}"),
    "two encoders": (lambda s: s | {f"other.{n}": a for n, a in s.items()}, "has two encoders, behind"),
    "roberta": (lambda s: {n.replace("bert.", "roberta."): a for n, a in s.items()}, "are of roberta; expected BERT"),
    "distilbert": (lambda s: {n.replace("bert.encoder.layer", "distilbert.transformer.layer").replace(
        "attention.self.query", "attention.q_lin"): a for n, a in s.items()}, "is not the BERT|none of BERT"),
    "something else": (lambda s: {"conv.weight": np.ones((2, 2), np.float32)}, "none of BERT's tensors; it has conv.w"),
    "the same twice": (lambda s: s | {"module.classifier.bias": np.ones(2, np.float32)}, "has classifier.bias twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_this_bert_is_refused(folder, state, case):
    change, said = REFUSED[case]
    write(folder, change(state))
    with pytest.raises(UserError, match=said) as error:
        from_folder("mine", folder)
    assert str(error.value).startswith("--teacher=mine: ") and "model.safetensors" in str(error.value)


@pytest.mark.parametrize("config", [{"num_hidden_layers": 1}, {"num_hidden_layers": 3}, {"intermediate_size": 64},
                                    {"hidden_size": 32}])  # fmt: skip
def test_a_config_of_another_size_is_refused(folder, config):
    change_config(folder, **config)
    with pytest.raises(UserError, match="is not the BERT that config.json describes"):
        from_folder("x", folder)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'; only 'absolute'"),
        ({"position_embedding_type": "relative_key_query"}, "position_embedding_type 'relative_key_query'"),
        ({"is_decoder": True}, "is_decoder True; only False"),
        ({"hidden_size": "16"}, "hidden_size '16'; expected a whole number"),
        ({"num_hidden_layers": 0}, "num_hidden_layers 0"),
        ({"num_attention_heads": 3}, "expected a multiple of num_attention_heads 3"),
        ({"model_type": "deberta"}, "model_type 'deberta'"),
        ({"architectures": ["RobertaForSequenceClassification"]}, "are of roberta"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused(folder, config, said):
    change_config(folder, **config)
    with pytest.raises(UserError, match=f"--teacher=x: .*{said}"):
        from_folder("x", folder)


def test_a_classifier_of_tokens_is_none_of_texts(folder):
    change_config(folder, architectures=["BertForTokenClassification"])
    assert from_folder("x", folder).found.classes is None


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(folder, state, number):
    from kd_keras.teachers.bert import Teacher

    broken = state[f"bert.{ONE}"].copy()
    broken[0, :2] = number
    write(folder, state | {f"bert.{ONE}": broken})
    with pytest.raises(UserError, match=f"2 of 256 numbers of bert.{ONE} are not finite"):
        Teacher.load(from_folder("x", folder), 2, 16)


@pytest.mark.parametrize("content", [b"", b"\0" * 99, None])
def test_an_empty_or_cut_file_is_refused_before_anything(folder, content):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    with pytest.raises(UserError, match=r"--teacher=x: .*model.safetensors cannot be loaded .*get it again"):
        from_folder("x", folder)


def sharded(folder, state, index=None):
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for file, some in shards.items():
        write(folder, {n: state[n] for n in some}, file)
    weight_map = {n: file for file, some in shards.items() for n in some}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index or {"weight_map": weight_map}))
    return list(shards)


def test_shards_are_read_and_each_is_in_the_key(folder, arrays, state):
    second = sharded(folder, state)[1]
    checkpoint = from_folder("x", folder)
    got = checkpoint.found.arrays()
    assert all((got[name] == a).all() for name, a in arrays.items())
    before = checkpoint.weights_sha256
    changed = {n: state[n] + 1 for n in sorted(state)[9:]}
    write(folder, changed, second)
    assert from_folder("x", folder).weights_sha256 != before
    (folder / second).unlink()
    with pytest.raises(UserError, match=f"names {second}, which does not exist; get all 2 shards"):
        from_folder("x", folder)


@pytest.mark.parametrize("file", ["../elsewhere.safetensors", "/etc/hostname", "sub/model.safetensors", ".."])
def test_an_index_that_names_files_elsewhere_is_refused(folder, state, file):
    sharded(folder, state, {"weight_map": {"a": file}})
    with pytest.raises(UserError, match="expected a file in the same folder"):
        from_folder("x", folder)


@pytest.mark.parametrize("index", [[], {"weight_map": {}}, {"weight_map": {"a": 3}}, {"metadata": {}}])
def test_an_index_that_is_none_is_refused(folder, state, index):
    sharded(folder, state)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="expected a weight_map"):
        from_folder("x", folder)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"


@pytest.mark.parametrize(
    "file", ["model.safetensors", "vocab.txt", "config.json", "tokenizer_config.json", "tokenizer.json", "tf_model.h5"]
)
def test_a_git_lfs_pointer_says_how_to_get_the_file(folder, file):
    if file == "tf_model.h5":
        (folder / "model.safetensors").unlink()
    (folder / file).write_text(POINTER)
    with pytest.raises(UserError, match=f"{file}: is a Git LFS pointer, .* git lfs pull"):
        from_folder("x", folder)


def test_a_base_model_without_pooler_and_classifier(folder, state):
    base = {n.removeprefix("bert."): a for n, a in state.items() if "pooler" not in n and "classifier" not in n}
    write(folder, base)
    found = find_weights("x", folder, json.loads((folder / "config.json").read_text()))
    assert not found.has_pooler and found.classes is None and found.prefix == ""
