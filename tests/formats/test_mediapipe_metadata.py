"""What MediaPipe reads of a file, read back by the numbers of its schema; and BERT's three inputs."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kd_keras.deploy.runner import Runner
from kd_keras.deploy.settings import ExportSettings
from kd_keras.formats.format import EXPORTS
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.mediapipe import accented, add_metadata, why_not, word_ids
from kd_keras.formats.tflite import convert
from kd_keras.formats.tflite_inputs import bert_inputs, model_inputs
from kd_keras.metrics import softmax
from kd_keras.students.settings import StudentSettings
from kd_keras.students.weights import student_weights
from kd_keras.tasks import Columns, Rows, Task
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import WORD_DELIMITER, WordPiece, Words

SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
LENGTH = 9
UNROLLED = [f for f in EXPORTS.values() if f.form == "unrolled"]
TASK = Task("toy", "single", ("neg", "so-so", "pos"))
WORDS = Words(["[PAD]", "[UNK]", "[MASK]", "good", "don't", "naïve", "3d"], LENGTH)


class Reader:
    """A table of a flatbuffer; fields by their number in metadata_schema.fbs."""

    def __init__(self, data: bytes, at: int):
        self._table = flatbuffers.table.Table(bytearray(data), at)

    @classmethod
    def root(cls, data: bytes) -> Reader:
        return cls(data, int.from_bytes(data[:4], "little"))

    def _at(self, field: int) -> int:
        return self._table.Offset(4 + 2 * field)

    def text(self, field: int) -> str | None:
        at = self._at(field)
        return self._table.String(at + self._table.Pos).decode() if at else None

    def enum(self, field: int) -> int:
        return self._table.GetSlot(4 + 2 * field, 0, flatbuffers.number_types.Uint8Flags)

    def table(self, field: int) -> Reader:
        return Reader(self._table.Bytes, self._table.Indirect(self._at(field) + self._table.Pos))

    def tables(self, field: int) -> list[Reader]:
        at = self._at(field)
        if not at:
            return []
        start, count = self._table.Vector(at), self._table.VectorLen(at)
        return [Reader(self._table.Bytes, self._table.Indirect(start + 4 * i)) for i in range(count)]


def metadata_of(content: bytes) -> Reader | None:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    found = [m for m in model.metadata if m.name == b"TFLITE_METADATA"]
    if not found:
        return None
    (entry,) = found
    data = bytes(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    return Reader.root(data)


def files_in(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED, "MediaPipe reads no compressed files"
            assert info.date_time == (1980, 1, 1, 0, 0, 0), "the day must not show in the bytes"
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(scope="module")
def pieces(vocab):
    return WordPiece(vocab, LENGTH)


@pytest.fixture(scope="module")
def student(make_model, pieces):
    return make_model(SMALL, len(pieces), 3)


@pytest.fixture(scope="module")
def plain(student, pieces):
    """Format → a file of three inputs, without metadata; each made once."""
    made: dict[str, bytes] = {}

    def make(name: str) -> bytes:
        if name not in made:
            weights, ids = student_weights(student), {"ids": texts(30)}
            made[name] = convert(weights, EXPORTS[name], LENGTH, ids, True, list(accented(pieces).values()))
        return made[name]

    return make


def texts(count: int, seed: int = 1, vocab: int = 27) -> TokenIds:
    """Ids of 0 to LENGTH + 3 tokens, all but padding's, an empty text first, in the middle and last."""
    draw = np.random.default_rng(seed)
    rows = [draw.integers(1, vocab, draw.integers(0, LENGTH + 4)) for _ in range(count)]
    for empty in (0, count // 2, count - 1):
        rows[empty] = []
    rows[1] = draw.integers(1, vocab, LENGTH)
    return TokenIds.of(rows)


def test_a_wordpiece_student(plain, pieces):
    content = add_metadata(plain("tflite_float32"), TASK, pieces)
    about = metadata_of(content)
    assert about.text(0) == "toy student" and "kd_keras" in about.text(1) and about.text(2) == "0.1.0"
    assert about.text(7) == "1.2.1"
    (graph,) = about.tables(3)
    # MediaPipe takes the n-th name for the n-th input, whose order is the converter's.
    names = [d["name"].removeprefix("serving_default_").split(":")[0] for d in interpreter(content).get_input_details()]
    assert [t.text(0) for t in graph.tables(2)] == names and set(names) == {"ids", "mask", "segment_ids"}
    (scores,) = graph.tables(3)
    (labels,) = scores.tables(6)
    assert (scores.text(0), labels.text(0), labels.enum(2)) == ("scores", "labels.txt", 2)
    (unit,) = graph.tables(5)
    assert unit.enum(0) == 4, "BertTokenizerOptions"
    (vocab,) = unit.table(1).tables(0)
    assert (vocab.text(0), vocab.enum(2)) == ("vocab.txt", 5)
    files = files_in(content)
    assert list(files) == ["labels.txt", "vocab.txt"] and files["labels.txt"] == "neg\nso-so\npos\n"
    lines = files["vocab.txt"].splitlines()
    assert lines[: len(pieces)] == pieces.vocab and lines[len(pieces) :] == list(accented(pieces))


def test_letters_with_accents_stand_for_plain_ones(plain, pieces):
    found, index = accented(pieces), pieces.index
    want = {
        "á": "a",
        "À": "a",
        "##á": "##a",
        "Ś": "s",
        "##ś": "##s",
        "##Ś": "##s",
        "Á": "a",
        "ß": None,
        "Ł": None,
        "é": None,
    }
    assert {p: pieces.vocab[found[p]] if p in found else None for p in want} == want
    assert not set(found) & set(index)
    for piece, i in found.items():
        if not piece.startswith("##"):
            assert pieces.encode([piece])[0].tolist() == [i], piece
    # In the graph they follow the vocabulary.
    new = {piece: len(pieces) + n for n, piece in enumerate(found)}
    first, *_, last = found
    given = [[new["á"], 7, new["##ś"]], [new[last]], [new[first], 5]]
    meant = [[index["a"], 7, index["##s"]], [found[last]], [found[first], 5]]
    for name in ("tflite_float32", "tflite_int8"):
        got, want = (answers(plain(name), [mediapipes_inputs(t, 2, 3) for t in x]) for x in (given, meant))
        np.testing.assert_array_equal(got, want)
        assert np.ptp(want, axis=0).max() > 0.1


def test_a_student_of_words(make_model):
    model = make_model(SMALL, len(WORDS), 3)
    content = add_metadata(convert(student_weights(model), EXPORTS["tflite_float32"], LENGTH), TASK, WORDS)
    (graph,) = metadata_of(content).tables(3)
    (ids,) = graph.tables(2)
    assert ids.text(0) == "ids" and graph.tables(5) == []
    (unit,) = ids.tables(4)
    assert unit.enum(0) == 6, "RegexTokenizerOptions"
    assert unit.table(1).text(0) == r"[^\p{L}\p{N}_']+"
    (vocab,) = unit.table(1).tables(1)
    assert (vocab.text(0), vocab.enum(2)) == ("word_ids.txt", 5)
    files = files_in(content)
    assert list(files) == ["labels.txt", "word_ids.txt"]
    lines = dict(line.split(" ") for line in files["word_ids.txt"].splitlines())
    assert {w: int(i) for w, i in lines.items()} == word_ids(WORDS)


def test_spellings_have_the_id_of_their_word():
    same = {"Good": 3, "GOOD": 3, "Don't": 4, "DON'T": 4, "Naïve": 5, "NAÏVE": 5, "3D": 6}
    head = {"<PAD>": 0, "<UNKNOWN>": 1}
    assert word_ids(WORDS) == head | {"good": 3, "don't": 4, "naïve": 5, "3d": 6} | same
    # "STRASSE" is lower-cased to another word; a word that is there in capitals keeps its own id.
    assert word_ids(Words(["[PAD]", "[UNK]", "straße"], 5)) == head | {"straße": 2, "Straße": 2}
    assert word_ids(Words(["[PAD]", "[UNK]", "us", "US"], 5, lowercase=False)) == head | {"us": 2, "US": 3}
    for word, i in word_ids(WORDS).items():
        if word not in head:
            assert WORDS.encode([word])[0].tolist() == [i]


def test_the_same_bytes_every_time_and_weights_where_they_belong(plain, pieces):
    before = plain("tflite_dynamic")
    after = add_metadata(before, TASK, pieces)
    assert after == add_metadata(before, TASK, pieces)
    model, old = schema.Model.GetRootAs(after, 0), schema.ModelT.InitFromPackedBuf(before, 0)
    assert schema.Model.ModelBufferHasIdentifier(after, 0) and model.BuffersLength() == len(old.buffers) + 1
    for i, kept in enumerate(old.buffers):
        buffer = model.Buffers(i)
        if kept.data is not None:
            assert bytes(buffer.DataAsNumpy()) == bytes(kept.data)
            # The schema's force_align: a float on a phone must not straddle.
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0
    # Nothing that the converter wrote is lost.
    names = [m.name for m in schema.ModelT.InitFromPackedBuf(after, 0).metadata]
    assert names == [*(m.name for m in old.metadata), b"TFLITE_METADATA"] and len(old.metadata) > 0


def mediapipes_inputs(tokens, cls: int, sep: int) -> dict[str, np.ndarray]:
    """As BertPreprocessorCalculator fills its tensors: cut to the size less two, framed, the rest 0."""
    size = LENGTH + 2
    framed = [cls, *list(tokens)[: size - 2], sep]
    ids = framed + [0] * (size - len(framed))
    mask = [1] * len(framed) + [0] * (size - len(framed))
    return {n: np.array([x], np.int32) for n, x in (("ids", ids), ("mask", mask), ("segment_ids", [0] * size))}


def interpreter(content: bytes):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=content)
    run.allocate_tensors()
    return run


def answers(content: bytes, inputs: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Of one interpreter, asked one after the other."""
    run = interpreter(content)
    index = {d["name"].removeprefix("serving_default_").split(":")[0]: d["index"] for d in run.get_input_details()}
    out = []
    for x in inputs:
        for name, value in x.items():
            run.set_tensor(index[name], value)
        run.invoke()
        out.append(run.get_tensor(run.get_output_details()[0]["index"])[0].copy())
    return np.stack(out)


def test_three_inputs_give_the_answers_of_the_ids_alone(plain, student, pieces):
    from kd_keras.students.inference import predict

    ids = texts(60)
    cut = TokenIds.of([ids[i][:LENGTH] for i in range(len(ids))])
    want = softmax(predict(student, {"ids": cut}, batch_size=1))
    assert np.ptp(want, axis=0).max() > 0.3, "answers that are all alike would prove nothing"
    near = {"float32": 2e-6, "float16": 5e-3, "dynamic": 0.06, "int8": 0.12}
    cls, sep = pieces.index["[CLS]"], pieces.index["[SEP]"]
    asked = [mediapipes_inputs(ids[i], cls, sep) for i in range(len(ids))]
    for fmt in UNROLLED:
        content = add_metadata(plain(fmt.name), TASK, pieces)
        got = answers(content, asked)
        assert np.abs(got - want).max() < near[fmt.precision], fmt.name
        np.testing.assert_array_equal(answers(content, asked[::-1])[::-1], got, err_msg=fmt.name)
        # The class that the rest of the package uses fills the three by itself.
        run = LiteRT(content)
        assert (run.inputs, run.length) == (("ids",), LENGTH)
        np.testing.assert_array_equal(run.scores({"ids": ids}), got, err_msg=fmt.name)
        # What stands at [CLS], at [SEP] and behind it is not looked at.
        other = [mediapipes_inputs(ids[i], 7, 8) for i in range(len(ids))]
        for x in other:
            x["ids"][x["mask"] == 0] = 9
        np.testing.assert_array_equal(answers(content, other), got, err_msg=fmt.name)
        shapes = [(d["name"], d["dtype"], d["shape"]) for d in run.describe()["inputs"]]
        assert shapes == [(n, "int32", [1, LENGTH + 2]) for n in ("ids", "mask", "segment_ids")]


def test_text_of_another_segment_is_left_out(plain, pieces):
    inputs = mediapipes_inputs([5, 6, 7], 2, 3)
    inputs["segment_ids"][0, 3:] = 1
    want = answers(plain("tflite_float32"), [mediapipes_inputs([5, 6], 2, 3)])
    np.testing.assert_array_equal(answers(plain("tflite_float32"), [inputs]), want)


def test_filling_inputs():
    x = bert_inputs(np.array([7, 8, 9, 10]), 3)
    assert x["ids"][0, 1:4].tolist() == [7, 8, 9] and x["mask"].tolist() == [[1, 1, 1, 1, 1]]
    x = bert_inputs(np.array([], np.int32), 3)
    assert x["mask"].tolist() == [[1, 1, 0, 0, 0]] and x["segment_ids"].tolist() == [[0] * 5]
    assert {a.dtype.name for a in x.values()} == {"int32"}
    pair = {"ids_a": TokenIds.of([[1, 2, 3]]), "ids_b": TokenIds.of([[]])}
    shapes = {n: a.tolist() for n, a in model_inputs(pair, 0, None, extra_padding=1).items()}
    assert shapes == {"ids_a": [[1, 2, 3, 0]], "ids_b": [[0, 0]]}
    assert model_inputs(pair, 0, 2)["ids_a"].tolist() == [[1, 2]]


def test_what_mediapipe_has_no_task_for(pieces):
    unrolled, loop = EXPORTS["tflite_dynamic"], EXPORTS["tflite_loop_dynamic"]
    assert why_not(TASK, pieces, unrolled) is None and why_not(TASK, WORDS, unrolled) is None
    assert why_not(TASK, Words(WORDS.vocab, 5, lowercase=False), unrolled) is None
    pair = Task("p", "pair", ("no", "yes"), columns=Columns(("a",), "b"))
    score = Task("s", "regression", (), "pearson", ("pearson",))
    assert "no task for a pair" in why_not(pair, pieces, unrolled)
    assert "no task for a regression" in why_not(score, pieces, unrolled)
    assert "without loops" in why_not(TASK, pieces, loop)
    assert "reads capitals" in why_not(TASK, WordPiece(pieces.vocab, 5, lowercase=False), unrolled)
    assert WORD_DELIMITER != " +" and "cannot split words" in why_not(
        TASK, Words(WORDS.vocab, 5, delimiter=" +"), unrolled
    )


@pytest.mark.parametrize("made", ["wordpiece", "words", "pair", "regression"])
def test_an_export_says_which_files_mediapipe_takes(made, make_run, capsys):
    from kd_keras.deploy.exporter import export

    settings = replace(SMALL, student="siamese") if made == "pair" else SMALL
    run = make_run(settings, words=made == "words", regression=made == "regression")
    done = export(run.folder, ExportSettings(formats="tflite_dynamic,tflite_loop_dynamic", tflite_length=6))
    assert not done.failures
    said = capsys.readouterr().err
    models = json.loads((run.folder / "tflite" / "metadata.json").read_text())["models"]
    unrolled, loop = models["dynamic.tflite"], models["loop_dynamic.tflite"]
    assert unrolled["length"] == 6 and loop["mediapipe"].startswith("no: it ")
    assert metadata_of((run.folder / "tflite" / "loop_dynamic.tflite").read_bytes()) is None
    content = (run.folder / "tflite" / "dynamic.tflite").read_bytes()
    if made in ("pair", "regression"):
        assert unrolled["mediapipe"] == f"no: it has no task for a {made}" and metadata_of(content) is None
        assert f"tflite_dynamic: written without metadata for MediaPipe, because it has no task for a {made}\n" in said
    else:
        assert unrolled["mediapipe"] == "TextClassifier" and "without metadata" not in said
        assert metadata_of(content).text(0) == "toy student"
    names = {"pair": ["ids_a", "ids_b"], "wordpiece": ["ids", "mask", "segment_ids"]}.get(made, ["ids"])
    assert [i["name"] for i in unrolled["inputs"]] == names
    assert ("[CLS], the text and [SEP]" in unrolled["reads"]) == (made == "wordpiece") and "without [CLS]" in loop[
        "reads"
    ]
    # What predict --model does with it.
    text = ["good film", "", "dull", "the film is very very good", "lovely . lovely . bad"]
    rows = Rows(list("abcde"), text, text[::-1] if made == "pair" else None, np.full(5, -1, np.int32))
    want = Runner.load(run.folder, "tflite_loop_dynamic").scores(rows)
    np.testing.assert_allclose(Runner.load(run.folder, "tflite_dynamic").scores(rows), want, atol=0.02)
    assert np.ptp(want) > 0.1
