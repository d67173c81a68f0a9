"""The teacher: a Keras functional model around transformers' TF…ForSequenceClassification."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import BertConfig, TFBertForSequenceClassification, TFBertForTokenClassification

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress
from kd_keras.tasks import Rows
from kd_keras.teachers.checkpoints import MANIFEST, Checkpoint
from kd_keras.teachers.encoded import Encoded, token_batches
from kd_keras.teachers.heads import encoder_of, functional, pooled_of, pooling_of, set_pooling, specs, tensors
from kd_keras.teachers.lean import lean
from kd_keras.teachers.loading import MANY_LABELS, REGRESSION, load_model
from kd_keras.teachers.lowered import in_int8, rounded
from kd_keras.teachers.settings import CLS, FLOAT32, INT8
from kd_keras.teachers.tokenizer_files import BACKEND
from kd_keras.text.base import BERT_INPUTS, BackedTokenizer
from kd_keras.text.tokenizers import WordPiece
from kd_keras.text.truncation import HEAD

# A checkpoint can hold these generators. With others, a resumed run would draw other dropout masks.
tf_keras.backend.experimental.enable_tf_random_generator()


class Teacher:
    """A classifier with BERT or another encoder, and its tokenizer.

    >>> shape = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    >>> teacher = Teacher.random(vocab, num_labels=2, max_length=16, seed=1, **shape)
    >>> teacher(["good film", "the plot is dull"]).shape
    (2, 2)

    Args:
      bert: the transformers model.
      tokenizer: the teacher's own. It has the maximum length and the names of the model's inputs.
      name: for reports.
    """

    tagging = False
    # Whether it has a classifier. If not, it gives vectors of texts, and maybe one of each word.
    classifies, tells_words = True, False
    # Workers that make its shards of signals (kd_keras/pipelines). None: the calling process does.
    crew = None
    # Precision of the products in forward passes. Dev scores use the precision of fine-tuning.
    precision = FLOAT32

    def __init__(self, bert: tf_keras.Model, tokenizer: BackedTokenizer, name: str):
        self.bert = bert
        self.tokenizer = tokenizer
        self.name = name
        self.model = functional(bert, tokenizer.inputs)

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint,
        num_labels: int,
        max_length: int,
        seed: int = 0,
        own_classifier: bool = False,
        truncation: str = HEAD,
        pooling: str | None = None,
    ) -> Teacher:
        """Weights from ``checkpoint``. If it has no classifier for these labels, one is drawn from ``seed``.

        Args:
          num_labels: outputs; 1 is a regression.
          own_classifier: the checkpoint must have a classifier of ``num_labels`` outputs.
          truncation: the part that it reads of texts longer than ``max_length``.
          pooling: what its classifier reads, "cls" or "mean". If not given, what the checkpoint says.

        Raises:
          UserError: the weights cannot be loaded, ``max_length`` is over the checkpoint's positions, or
            the checkpoint lacks the required classifier.
        """
        checkpoint.check_length(max_length)
        if own_classifier and checkpoint.outputs(cls.tagging) != num_labels:
            raise UserError(
                f"--teacher={checkpoint.name}: has no classifier of {num_labels} outputs; fine-tune it first"
            )
        bert = load_model(checkpoint, num_labels, seed, cls.tagging)
        if not cls.tagging:
            set_pooling(bert, pooling or checkpoint.pooling)
        tokenizer = checkpoint.text.tokenizer(max_length, truncation)
        return cls(bert, tokenizer, (checkpoint.manifest() or {}).get("name", checkpoint.name))

    @classmethod
    def load_finished(cls, checkpoint: Checkpoint) -> Teacher:
        """A teacher that our fine-tuning saved, by its ``teacher.json``. UserError if it is not one."""
        made = checkpoint.manifest()
        if not made or "key" not in made:
            raise UserError(
                f"--teacher={checkpoint.name}: not fine-tuned by finetune or train (it has no finished {MANIFEST})"
            )
        truncation = made["key"].get("teacher_truncation", HEAD)
        outputs, length = made["num_labels"], made["key"]["max_length"]
        return cls.load(checkpoint, outputs, length, own_classifier=True, truncation=truncation)

    @classmethod
    def random(cls, vocab: Sequence[str], num_labels: int, max_length: int, seed: int, **config: int) -> Teacher:
        """An untrained teacher from a configuration, for tests and notebooks."""
        tf_keras.utils.set_random_seed(seed)
        model = TFBertForTokenClassification if cls.tagging else TFBertForSequenceClassification
        bert = model(BertConfig(vocab_size=len(vocab), num_labels=num_labels, **config))
        bert(bert.dummy_inputs | {"input_ids": tf.zeros((1, 2), tf.int32)})
        return cls(bert, WordPiece(vocab, max_length), "random")

    @property
    def weights(self) -> list:
        """All its variables."""
        return self.bert.weights

    @property
    def vector_size(self) -> int:
        """How many numbers :meth:`told` gives."""
        return self.bert.config.hidden_size

    def answer(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """An exported teacher's answer to one padded batch: float32[batch, labels], or [batch, time, labels]."""
        return self.model(batch, training=False)["logits"]

    def told(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors of texts as signals keep them. Here they do not change."""
        return vectors

    @property
    def is_multilabel(self) -> bool:
        """Whether a text may have several labels, each decided by its own logit."""
        return self.bert.config.problem_type == MANY_LABELS

    @property
    def num_labels(self) -> int:
        return self.bert.config.num_labels

    @property
    def pooling(self) -> str:
        """What the classifier reads: "cls" is BERT's pooler, "mean" the mean of the tokens."""
        return pooling_of(self.bert)

    def dropout_states(self) -> list[tf.random.Generator]:
        """The generators of all dropout layers, in a fixed order. A resumed run needs them."""
        layers = [m for m in self.bert.submodules if isinstance(m, tf_keras.layers.Dropout)]
        for layer in layers:  # layers that the model never calls have no generator yet
            layer._random_generator._maybe_init()
        return [layer._random_generator._generator for layer in layers]

    def about(self) -> dict[str, object]:
        """Name and size, for reports."""
        total = sum(int(np.prod(v.shape)) for v in self.weights)
        embeddings = sum(int(np.prod(v.shape)) for v in self.weights if "/embeddings/" in v.name)
        return {
            "name": self.name,
            "parameters": total,
            "parameters_without_embeddings": total - embeddings,
            "max_length": self.tokenizer.max_length,
            **self._reading(),
        }

    def _reading(self) -> dict[str, str]:
        """Truncation and pooling, if they are not the head and BERT's pooler. Older keys do not have them."""
        how = {"truncation": self.tokenizer.truncation, "pooling": self.pooling}
        return {name: value for name, value in how.items() if value not in (HEAD, CLS)}

    def word_embeddings(self) -> np.ndarray:
        """float32[vocab, width]."""
        return encoder_of(self.bert).embeddings.weight.numpy()

    def encode(self, rows: Rows) -> Encoded:
        return self.encode_texts(rows.text, rows.text_b)

    def encode_texts(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> Encoded:
        return Encoded(*self.tokenizer.encode_for_bert(texts, texts_b), self.tokenizer)

    @functools.cached_property
    def _lowered(self) -> dict[tuple, Teacher]:
        return {}

    def lowered(self, precision: str, outputs: Sequence[str] = ("logits",)) -> Teacher:
        """The same teacher in a lower ``precision``, whose batches have at least ``outputs``."""
        if (key := (precision, *outputs)) not in self._lowered:
            if precision == INT8:
                twin = in_int8(self, outputs)
            else:
                twin = type(self)(rounded(self.bert, precision), self.tokenizer, self.name)
            self._lowered[key] = twin
        return self._lowered[key]

    @functools.cached_property
    def _pooled(self) -> Callable:
        @tf.function(input_signature=[specs(self.tokenizer.inputs)])
        def pooled(batch):
            with lean(self.bert, cls_only=self.pooling == CLS, no_gradients=True):
                return pooled_of(self.bert, batch, training=False)

        return pooled

    def vectors(self, encoded: Encoded, tokens_per_batch: int = 4096, what: str = "vectors") -> np.ndarray:
        """float32[rows, width]: what the classifier reads of each row."""
        out = np.zeros((len(encoded), self.bert.config.hidden_size), np.float32)
        with progress(len(encoded), what, "texts") as bar:
            for rows in token_batches(encoded.ids.lengths, tokens_per_batch):
                out[rows] = self._pooled(tensors(encoded.batch(rows))).numpy()
                bar.update(len(rows))
        return out

    @functools.cached_property
    def _forward(self) -> dict[bool, Callable]:
        """The forward pass, by ``cls_only``."""

        def traced(cls_only: bool) -> Callable:
            @tf.function(input_signature=[specs(self.tokenizer.inputs)])
            def forward(batch):
                with lean(self.bert, cls_only, self.precision, no_gradients=True):
                    return self.model(batch, training=False)

            return forward

        return {cls_only: traced(cls_only) for cls_only in (False, True)}

    def predict_batch(self, batch: dict[str, np.ndarray], cls_only: bool = False) -> dict[str, tf.Tensor]:
        """One padded batch → {"logits": float32[batch, labels], "hidden_<l>": float32[batch, time, width]}.

        With ``cls_only`` the last hidden state is only that of [CLS], float32[batch, 1, width], which is faster. It has
        no effect if the classifier reads all tokens.
        """
        return self._forward[cls_only and self.pooling == CLS](tensors(batch))

    def logits(self, encoded: Encoded, tokens_per_batch: int = 4096) -> np.ndarray:
        """float32[rows, labels] for all rows, in their order. Rows of similar length share a batch."""
        out = np.zeros((len(encoded), self.num_labels), np.float32)
        for rows in token_batches(encoded.ids.lengths, tokens_per_batch):
            out[rows] = self.predict_batch(encoded.batch(rows), cls_only=True)["logits"].numpy()
        return out

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Logits of plain texts, float32[texts, labels], for notebooks."""
        return self.logits(self.encode_texts(list(texts)))

    def save(self, folder: Path, **manifest: object) -> None:
        """Writes a Hugging Face folder with ``teacher.json``. Readers see all of it or nothing."""
        with files.atomic_dir(folder) as temp:
            self.bert.save_pretrained(temp, safe_serialization=True)
            _save_tokenizer(self.tokenizer, temp)
            weights = files.sha256_file(temp / "model.safetensors")
            made = {
                "weights_sha256": weights,
                "fingerprint": self.fingerprint(),
                "num_labels": self.num_labels,
                "regression": self.bert.config.problem_type == REGRESSION,
                **({"tagging": True} if self.tagging else {}),
                "labels": [str(label) for _, label in sorted(self.bert.config.id2label.items())],
            }
            files.write_json(temp / MANIFEST, made | manifest)

    def fingerprint(self) -> dict[str, object]:
        """What a label depends on: the weights, and how text becomes ids."""
        import hashlib

        digest, splits = hashlib.sha256(), list(self.tokenizer.splitting().items())
        for v in self.weights:
            digest.update(np.ascontiguousarray(v.numpy()).data)
        return {
            "weights": digest.hexdigest()[:16],
            "tokenizer": files.hash_of(self.tokenizer.vocab, self.tokenizer.lowercase, *splits),
            "max_length": self.tokenizer.max_length,
            **self._reading(),
        }


def _save_tokenizer(tokenizer: BackedTokenizer, folder: Path) -> None:
    # transformers' general class would add token types to models that read none.
    reads = {} if tokenizer.inputs == BERT_INPUTS else {"model_input_names": list(tokenizer.inputs)}
    if not isinstance(tokenizer, WordPiece):
        files.write_text(folder / BACKEND, json.dumps(tokenizer.to_json(), ensure_ascii=False) + "\n")
        special = {f"{name[1:-1].lower()}_token": said for name, said in getattr(tokenizer, "names", {}).items()}
        files.write_json(
            folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **special, **reads}
        )
        return
    files.write_text(folder / "vocab.txt", "".join(p + "\n" for p in tokenizer.vocab))
    splits = {"do_lower_case": tokenizer.lowercase, **tokenizer.splitting(), **reads}
    files.write_json(folder / "tokenizer_config.json", splits)
