"""Pruning and clustering by tensorflow-model-optimization: what comes back is what was asked for, in Keras 3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.compression.settings import CompressSettings
from kd_keras.students.settings import StudentSettings
from kd_keras.text.token_ids import TokenIds

VOCAB, OUTPUTS, ROWS = 40, 3, 48
SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=7, dense_size=9)
SHORT = CompressSettings(updates=4, rounds=2, batch_size=16, sparsity=0.6, clusters=5, learning_rate=1e-2)
# Two channels, maximum over time; pairs: every branch of the twin, in two students.
STUDENTS = {
    "mean": replace(SMALL, pooling="mean"),
    "multichannel, max": replace(SMALL, channels="multichannel", pooling="max"),
    "siamese": replace(SMALL, student="siamese"),
}
KERNELS = ("forward kernel", "forward recurrent", "backward kernel", "backward recurrent", "dense", "logits")


def draw_ids(names: tuple[str, ...], seed: int) -> dict[str, TokenIds]:
    draw = np.random.default_rng(seed)
    return {n: TokenIds.of([draw.integers(1, VOCAB, draw.integers(1, 9)) for _ in range(ROWS)]) for n in names}


@pytest.fixture
def compressed(make_model):
    """(settings of a student, steps) → the student, its histories, and what it reads."""
    from kd_keras.compression import methods

    def make(student: StudentSettings, *steps: str, settings: CompressSettings = SHORT):
        model = make_model(student, VOCAB, OUTPUTS)
        names = ("ids_a", "ids_b") if student.student == "siamese" else ("ids",)
        ids, want = draw_ids(names, 1), np.random.default_rng(2).normal(size=(ROWS, OUTPUTS)).astype(np.float32)
        done = [
            methods.fine_tune(model, step, settings, ids, want, ids, lambda got: -float(np.mean((got - want) ** 2)))
            for step in steps
        ]
        return model, done, ids

    return make


@pytest.mark.parametrize("name", STUDENTS)
def test_the_twin_gives_the_students_logits(name, make_model):
    from kd_keras.compression import methods
    from kd_keras.students.inference import predict

    student = make_model(STUDENTS[name], VOCAB, OUTPUTS)
    ids = draw_ids(tuple(student.input), 1)
    ids[next(iter(ids))] = TokenIds.of([[], *(ids[next(iter(ids))][i] for i in range(1, ROWS))])  # an empty text too
    twin = methods.twin(student)
    np.testing.assert_allclose(predict(twin, ids), predict(student, ids), atol=1e-5)
    twin.get_layer("bilstm").set_weights([w + 0.1 for w in twin.get_layer("bilstm").get_weights()])
    with pytest.raises(UserError, match="the logits of its tf_keras twin differ by"):
        methods.require_same_logits(student, twin, draw_ids(tuple(student.input), 3))


def test_pruning_reaches_every_kernel(compressed):
    from kd_keras.compression.report import kernels

    student, (done,), _ = compressed(STUDENTS["multichannel, max"], "prune")
    found = kernels(student)
    assert set(found) == {"embeddings", "embeddings_static", *KERNELS}
    for name, values in found.items():
        assert abs(np.mean(values == 0) - SHORT.sparsity) < 1.0 / values.size + 0.01, name
    assert [r["update"] for r in done["rounds"]] == [2, 4]
    assert done["twin_difference"] <= 1e-5
    assert all(np.any(layer.get_weights()[-1]) for layer in (student.get_layer("dense"), student.get_layer("logits")))


def test_weights_that_are_not_yet_sparse_are_not_chosen(compressed):
    _, (done,), _ = compressed(SMALL, "prune", settings=replace(SHORT, updates=8, rounds=4))
    assert [r["dev"] is None for r in done["rounds"]] == [True, False, False, False]
    scores = {r["update"]: r["dev"] for r in done["rounds"] if r["dev"] is not None}
    assert done["best"] == max(scores.values()) == scores[done["best_update"]]


def test_pruned_then_clustered_keeps_the_zeros_and_shares_the_rest(compressed, make_model):
    from kd_keras.compression.report import kernels
    from kd_keras.students.inference import predict

    student, (pruned, clustered), ids = compressed(STUDENTS["siamese"], "prune", "cluster_sparse")
    for name, values in kernels(student).items():
        assert np.mean(values == 0) >= SHORT.sparsity - 0.02, name
        assert 2 <= len(np.unique(values)) <= SHORT.clusters, name
    assert [h["step"] for h in (pruned, clustered)] == ["prune", "cluster_sparse"]
    assert clustered["twin_difference"] <= 1e-5
    start = make_model(STUDENTS["siamese"], VOCAB, OUTPUTS)
    assert np.abs(predict(start, ids) - predict(student, ids)).max() > 0.1


@pytest.mark.parametrize(
    ("steps", "sparsity"), [(["cluster"], 0.5), (["prune", "cluster_sparse"], 0.5), (["prune", "cluster_sparse"], 0.99)]
)
def test_more_clusters_than_a_kernel_has_values(compressed, steps, sparsity):
    from kd_keras.compression.report import kernels

    student, done, _ = compressed(SMALL, *steps, settings=replace(SHORT, clusters=256, sparsity=sparsity))
    assert [h["step"] for h in done] == steps
    smallest = min(kernels(student).values(), key=np.size)
    assert smallest.size < 256 and len(np.unique(smallest)) <= smallest.size
    assert all(len(np.unique(values)) <= 256 for values in kernels(student).values())


def test_the_nearest_centroid_is_the_librarys_own():
    import tensorflow as tf

    from kd_keras.compression.methods import ClusteringAlgorithm, _NearestOfSorted

    draw = np.random.default_rng(0)
    weights = tf.constant(draw.normal(size=(50, 7)).astype(np.float32))
    centroids = tf.Variable(draw.normal(size=6).astype(np.float32))  # in no order, as after some training
    ours = _NearestOfSorted(centroids).get_pulling_indices(weights).numpy()
    np.testing.assert_array_equal(ours, ClusteringAlgorithm(centroids).get_pulling_indices(weights).numpy())
    nearest = np.abs(weights.numpy()[..., None] - centroids.numpy()).argmin(-1)
    np.testing.assert_array_equal(ours, nearest)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"method": "qat"}, "Dense layers only.*tflite_dynamic"),
        ({"method": "prun"}, "Did you mean prune"),
        ({"sparsity": 1.0}, "--sparsity=1: expected .* at most 0.99"),
        ({"clusters": 1}, "--clusters=1: expected at least 3"),
        ({"updates": 0}, "--updates=0: expected at least 2"),
    ],
)
def test_settings_that_mean_nothing(wrong, says):
    with pytest.raises(UserError, match=says):
        CompressSettings(**wrong)
