"""The student's shape as flags; no Keras import, so that a command checks them at once."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import Checked, setting
from kd_keras.common.errors import UserError


@dataclass(frozen=True)
class StudentSettings(Checked):
    """The student's shape. Tang et al. search hidden_size {150, 300} and dense_size {200, 400}."""

    student: str = setting("bilstm", "kind of student.", choices=("bilstm",))
    tokenizer: str = setting(
        "wordpiece",
        "how the student sees text: the teacher's pieces, or words.",
        choices=("wordpiece", "words"),
    )
    vocab_size: int | None = setting(
        None, "most vocabulary entries; all that the training text uses if not given.", low=8
    )
    student_max_length: int | None = setting(
        None, "longest text in the student's tokens; the task's own length if not given.", low=1
    )
    embeddings: str = setting(
        "teacher",
        "first values of the embeddings: the fine-tuned teacher's by SVD (wordpiece only), random, or --vectors.",
        choices=("teacher", "random", "vectors"),
    )
    vectors: str | None = setting(None, "word vectors in text form, with --tokenizer=words --embeddings=vectors.")
    train_embeddings: bool = setting(True, "embeddings learn too; off, they keep their first values.")
    embedding_size: int = setting(300, "width of the embeddings.", low=1)
    hidden_size: int = setting(150, "LSTM units per direction.", low=1)
    dense_size: int = setting(200, "units of the fully connected layer.", low=1)
    pooling: str = setting(
        "last",
        "sentence vector: last states of both directions, or the maximum over time.",
        choices=("last", "max"),
    )
    embedding_dropout: float = setting(0.4, "part of the embeddings' values dropped in training.", low=0.0, high=0.95)
    word_dropout: float = setting(0.1, "part of the tokens dropped whole in training.", low=0.0, high=0.95)
    dropout: float = setting(0.4, "part of the sentence vector dropped in training.", low=0.0, high=0.95)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embeddings == "teacher" and self.tokenizer == "words":
            raise UserError("--embeddings=teacher: only with --tokenizer=wordpiece; words take random or vectors")
        if (self.embeddings == "vectors") != (self.vectors is not None):
            raise UserError("--embeddings=vectors and --vectors=FILE go together")
        if self.embeddings == "vectors" and self.tokenizer != "words":
            raise UserError("--embeddings=vectors: only with --tokenizer=words")
