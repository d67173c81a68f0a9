"""Prunes and clusters a student's kernels with tensorflow-model-optimization, while the student follows its teacher.

The work is done on the student's tf_keras twin. Its weights then go back into the Keras 3 student. Pruning follows
Zhu & Gupta 2017: the smallest values become zero, on a cubic schedule. Clustering follows Han et al. 2016, section 3:
values are shared, and their centroids are fine-tuned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras.clustering_algorithm import ClusteringAlgorithm

from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress
from kd_keras.compression.settings import CompressSettings
from kd_keras.compression.twin import require_same_logits, twin
from kd_keras.students.inference import predict
from kd_keras.text.batches import training_batches
from kd_keras.text.token_ids import TokenIds

Weights = dict[str, list[np.ndarray]]
# The library refuses fewer clusters. A kernel with fewer values has nothing to share.
_FEWEST = 3
# Finding the smallest of a million values takes a second, so masks are computed only this many times.
_MASKS = 10


class PrunableBidirectional(tf_keras.layers.Bidirectional):
    """A BiLSTM whose four kernels are pruned. tensorflow-model-optimization alone does not prune a Bidirectional."""

    def get_prunable_weights(self) -> list:
        cells = (self.forward_layer.cell, self.backward_layer.cell)
        return [kernel for cell in cells for kernel in (cell.kernel, cell.recurrent_kernel)]


class _NearestOfSorted(ClusteringAlgorithm):
    """Finds the nearest centroid of each value by binary search.

    The library's own way holds values × centroids numbers at once: gigabytes for a student's embeddings.
    """

    def get_pulling_indices(self, weight, centroids=None):
        centroids = self.cluster_centroids if centroids is None else centroids
        order = tf.argsort(centroids)
        ordered = tf.gather(centroids, order)
        between = tf.searchsorted((ordered[1:] + ordered[:-1]) / 2.0, tf.reshape(weight, [-1]))
        return tf.reshape(tf.cast(tf.gather(order, between), tf.int64), tf.shape(weight))


class ClusterableEmbedding(tf_keras.layers.Embedding, tfmot.clustering.keras.ClusterableLayer):
    """An embedding that is clustered by binary search."""

    def get_clusterable_weights(self) -> list:
        return [("embeddings", self.embeddings)]

    def get_clusterable_algorithm(self, weight_name: str) -> type[ClusteringAlgorithm]:
        return _NearestOfSorted


def fine_tune(
    student: keras.Model,
    step: str,
    settings: CompressSettings,
    ids: Mapping[str, TokenIds],
    teacher_logits: np.ndarray,
    dev_ids: Mapping[str, TokenIds],
    dev_score: Callable[[np.ndarray], float],
) -> dict:
    """Prunes or clusters ``student`` in place. It gets the best weights on dev of the rounds that are complete.

    Args:
      student: a Keras 3 student.
      step: "prune", "cluster", or "cluster_sparse", which keeps zeros.
      settings: how far, and how long.
      ids: what the student reads, as {"ids"} or {"ids_a", "ids_b"}.
      teacher_logits: float32[rows, outputs]. The student follows them by mean squared error.
      dev_ids: the dev rows that choose the best weights.
      dev_score: logits of dev → a number; more is better.

    Returns:
      {"step", "rounds": [{"update", "loss", "dev"}, …] ("dev" None before the sparsity is reached), "best",
      "best_update", "twin_difference"}.

    Raises:
      UserError: the loss is not finite.
    """
    tf_keras.utils.set_random_seed(settings.seed)
    rounds = min(settings.rounds, settings.updates)
    every = math.ceil(settings.updates / rounds)
    whole = math.ceil(rounds / 2) if step == "prune" else 1  # the first round that has the whole sparsity
    wrapped, strip, callbacks = _wrapped(student, step, settings, whole * every)
    rate = tf_keras.optimizers.schedules.CosineDecay(settings.learning_rate, rounds * every)
    wrapped.compile(tf_keras.optimizers.Adam(rate, global_clipnorm=1.0), loss={"logits": "mse"})
    batches = training_batches(ids, {"logits": teacher_logits}, settings.batch_size, settings.seed)
    best = _Best(student, lambda: strip(wrapped), whole, every, dev_ids, dev_score)
    with progress(rounds * every, step.replace("_", ", "), "updates") as best.bar:
        wrapped.fit(batches, steps_per_epoch=every, epochs=rounds, callbacks=[*callbacks, best], verbose=0)
    stripped = strip(wrapped)
    put(best.weights, stripped)
    put(best.weights, student)
    history = {"step": step, "rounds": best.rounds, "best": best.score, "best_update": best.update}
    return history | {"twin_difference": require_same_logits(student, stripped, dev_ids)}


def put(weights: Weights, model) -> None:
    """Gives the layers of a student, or of its stripped twin, their weights by name."""
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)


def _wrapped(student: keras.Model, step: str, settings: CompressSettings, ends: int) -> tuple:
    """The twin to train, the function that strips it, and the callbacks that its training needs."""
    if step == "prune":
        often = max(1, ends // _MASKS)
        # The end must be a step of the schedule; otherwise the last part of the sparsity is never reached.
        schedule = tfmot.sparsity.keras.PolynomialDecay(
            0.0, settings.sparsity, begin_step=0, end_step=ends // often * often, frequency=often
        )

        def prune(layer):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

        model = twin(student, prune, bidirectional=PrunableBidirectional)
        return model, tfmot.sparsity.keras.strip_pruning, [tfmot.sparsity.keras.UpdatePruningStep()]

    def cluster(layer):
        # The library cannot draw more centroids than a kernel has values. A zero that is kept is one more.
        kernels = [w for w in layer.get_weights() if w.ndim > 1]
        most = min(int(np.count_nonzero(w)) + 1 if step == "cluster_sparse" else w.size for w in kernels)
        if most < _FEWEST:
            return layer
        return tfmot.clustering.keras.cluster_weights(
            layer,
            min(settings.clusters, most),
            tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
            preserve_sparsity=step == "cluster_sparse",
        )

    return twin(student, cluster, embedding=ClusterableEmbedding), tfmot.clustering.keras.strip_clustering, []


class _Best(tf_keras.callbacks.Callback):
    """After each complete round it copies the twin's weights into the student, scores dev, and keeps the best."""

    def __init__(
        self,
        student: keras.Model,
        stripped: Callable,
        whole: int,
        every: int,
        ids: Mapping[str, TokenIds],
        dev_score: Callable[[np.ndarray], float],
    ):
        super().__init__()
        self._student, self._stripped, self._whole, self._every = student, stripped, whole, every
        self._ids, self._dev_score = ids, dev_score
        self.weights: Weights = {}
        self.score: float | None = None
        self.update = 0
        self.rounds: list[dict] = []
        self.bar = None

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(1)

    def on_epoch_end(self, epoch, logs=None):
        entry = {"update": (epoch + 1) * self._every, "loss": float(logs["loss"]), "dev": None}
        if not math.isfinite(entry["loss"]):
            raise UserError(f"the loss is {entry['loss']} at update {entry['update']}: use a lower --learning_rate")
        self.rounds.append(entry)
        if epoch + 1 < self._whole:
            return
        stripped = self._stripped()
        weights = {layer.name: layer.get_weights() for layer in stripped.layers if layer.get_weights()}
        put(weights, self._student)
        entry["dev"] = self._dev_score(predict(self._student, self._ids))
        if self.score is None or entry["dev"] > self.score:
            self.score, self.update, self.weights = entry["dev"], entry["update"], weights
        self.bar.set_postfix_str(f"dev {entry['dev']:.4f}, loss {entry['loss']:.4f}")
