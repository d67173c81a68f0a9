"""Every form and precision of a tagger's TFLite file against Keras, and what the files are made of."""

from __future__ import annotations

import numpy as np
import pytest
from made_taggers import LETTERS, ODD, WORDS, keras_tags, made_windows, random_tagger

from kd_keras.common.errors import UserError
from kd_keras.formats.format import EXPORTS, Format
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import convert, describe
from kd_keras.students.weights import student_weights
from kd_keras.text.windows import windows

LENGTH, TAGS = 12, 5
ALL = [f for f in EXPORTS.values() if f.is_tflite]
# Logits of random weights lie between about −15 and 15.
NEAR = {"float32": 2e-5, "float16": 0.05, "dynamic": 0.6, "int8": 2.5}


def sentences(count: int, seed: int) -> list[str]:
    """No two neighbours alike: of one word, of exactly LENGTH letters, of more, an empty one between."""
    draw = np.random.default_rng(seed)
    plain = [w for w in WORDS if not w.startswith("##")]
    texts = [" ".join(draw.choice(plain, draw.integers(1, 2 * LENGTH))) for _ in range(count)]
    texts[1], texts[2], texts[count // 2] = "Ada", " ".join(LETTERS[:LENGTH]), ""
    texts[3] = " ".join(LETTERS[: LENGTH + 1])
    return texts


@pytest.fixture(scope="module")
def student(tagger_tokenizer):
    model = random_tagger(len(tagger_tokenizer), TAGS)
    texts = [*sentences(40, 1), *ODD]
    some = made_windows(tagger_tokenizer, texts, LENGTH)
    return model, texts, some, keras_tags(model, some)


@pytest.fixture(scope="module")
def converted(student, tagger_tokenizer):
    made: dict[str, bytes] = {}
    ids = {"ids": made_windows(tagger_tokenizer, sentences(60, 2), LENGTH).ids}

    def make(fmt: Format) -> bytes:
        if fmt.name not in made:
            length = LENGTH if fmt.form == "unrolled" else None
            made[fmt.name] = convert(student_weights(student[0]), fmt, length, ids)
        return made[fmt.name]

    return make


def test_the_texts_are_what_they_should_be(student):
    """Or the tests below would prove less than they say."""
    _, texts, some, want = student
    lengths = some.ids.lengths
    assert {1, LENGTH} <= set(lengths.tolist()) and some.long_rows > 10 and 0 in some.words
    assert max(len(t.split(" ")) for t in texts) > 400
    assert len(np.unique(want.argmax(-1))) >= 3 and np.ptp(want) > 10


@pytest.mark.parametrize("fmt", ALL, ids=lambda f: f.name)
def test_every_file_answers_as_keras_does(student, converted, fmt):
    _, _, some, want = student
    run = LiteRT(converted(fmt))
    got = run.tag_logits(some, extra_padding=4)
    assert got.dtype == np.float32 and got.shape == want.shape
    assert np.abs(got - want).max() < NEAR[fmt.precision], np.abs(got - want).max()
    clear = np.sort(want, -1)[:, -1] - np.sort(want, -1)[:, -2] > NEAR[fmt.precision]
    same = got.argmax(-1) == want.argmax(-1)
    assert clear.mean() > 0.1 and same[clear].all() and same.mean() > (0.9 if fmt.precision == "int8" else 0.97)
    # The same interpreter once more, and other amounts of padding: the very same answers.
    np.testing.assert_array_equal(run.tag_logits(some, extra_padding=3), got)


@pytest.mark.parametrize("fmt", ALL, ids=lambda f: f.name)
def test_what_the_files_are_made_of(converted, fmt):
    graph = describe(converted(fmt))
    assert graph["custom_ops"] == [] and graph["inputs"] == ["ids"]
    assert not [op for op in graph["ops"] if op.startswith(("FLEX", "VAR", "UNIDIR"))]
    assert ("WHILE" in graph["ops"]) == (fmt.form == "loop")
    if fmt.precision == "int8":
        assert graph["float_ops"] == ["DEQUANTIZE"]
    batch, length = (1, LENGTH) if fmt.form == "unrolled" else (-1, -1)
    said = LiteRT(converted(fmt)).describe()
    assert said["inputs"] == [{"name": "ids", "dtype": "int32", "shape": [batch, length]}]
    assert said["output"] == {"name": "logits", "dtype": "float32", "shape": [batch, length, TAGS]}


def test_the_backward_states_stand_at_their_own_tokens(student, converted):
    """Another last piece changes what is said of the first; another first piece what is said of the last."""
    for name in ("tflite_float32", "tflite_loop_float32"):
        run = LiteRT(converted(EXPORTS[name]))

        def said(*ids, run=run):
            x = np.zeros((1, LENGTH), np.int32)
            x[0, : len(ids)] = ids
            return run.answer({"ids": x})[: len(ids)]

        one, other, third = said(7, 8, 9), said(7, 8, 10), said(11, 8, 9)
        assert (np.abs(one - other).max(-1) > 1e-3).all() and (np.abs(one - third).max(-1) > 1e-3).all()


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
def test_a_batch_gives_each_window_its_own_answer(student, converted, precision):
    _, _, some, _ = student
    run = LiteRT(converted(EXPORTS[f"tflite_loop_{precision}"]))
    alone = [run.answer({"ids": some.ids[i][None]}) for i in range(12)]
    for rows in ([0, 1], [3], list(range(12)), []):
        x = np.zeros((len(rows), LENGTH + len(rows) % 3), np.int32)
        for n, row in enumerate(rows):
            x[n, : len(some.ids[row])] = some.ids[row]
        got = run.answers({"ids": x})
        assert got.shape == (*x.shape, TAGS)
        for n, row in enumerate(rows):
            np.testing.assert_allclose(got[n, : len(some.ids[row])], alone[row], atol=2e-5)


@pytest.mark.parametrize("name", ["tflite_float32", "tflite_loop_float32"])
def test_a_tagger_without_a_dense_layer(student, name):
    _, _, some, _ = student
    model = random_tagger(len(student[0].get_layer("embeddings").get_weights()[0]), TAGS, dense=0)
    fmt = EXPORTS[name]
    content = convert(student_weights(model), fmt, LENGTH if fmt.form == "unrolled" else None, {"ids": some.ids})
    assert np.abs(LiteRT(content).tag_logits(some) - keras_tags(model, some)).max() < NEAR[fmt.precision]


def test_a_window_that_is_too_long_is_refused(student, converted):
    too_long = windows([[[5], [6], [7]] * 5], room=100)
    with pytest.raises(UserError, match="a window of the text has 15 tokens; the file reads at most 12"):
        LiteRT(converted(EXPORTS["tflite_float32"])).tag_logits(too_long)
    assert LiteRT(converted(EXPORTS["tflite_loop_float32"])).tag_logits(too_long).shape == (15, TAGS)


def test_no_words_at_all(student, converted):
    none = windows([[], []], room=LENGTH)
    assert LiteRT(converted(EXPORTS["tflite_float32"])).tag_logits(none).shape == (0, TAGS)


def test_a_saved_model_reads_ids_alone(student, tagger_task, tagger_tokenizer, tmp_path):
    from kd_keras.formats.saved_model import LoadedModel, write_saved_model

    model, _, some, want = student
    write_saved_model(model, tagger_tokenizer, tagger_task, tmp_path)
    import tensorflow as tf

    assert list(tf.saved_model.load(str(tmp_path)).signatures) == ["ids"]
    np.testing.assert_allclose(LoadedModel(tmp_path).tag_logits(some), want, atol=2e-5)
