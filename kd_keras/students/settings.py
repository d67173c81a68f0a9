"""The student's shape as flags; no Keras import, so that a command checks them at once."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import Checked, path_setting, setting
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.text.truncation import TRUNCATIONS
from kd_keras.text.vectors import vector_width

# Every registered student → whether it reads pairs. The first of a kind is that kind's default.
READS_PAIRS = {"bilstm": False, "siamese": True, "tagger": False}
# Those that give each word a tag.
TAGGERS = ("tagger",)
# Tang et al. 2019, section 4.2.
DEFAULT_WIDTH = 300


@dataclass(frozen=True)
class StudentSettings(Checked):
    """The student's shape. Tang et al. 2019 search hidden_size {150, 300} and dense_size {200, 400}.

    >>> StudentSettings(hidden_size=64, dense_size=64).width()
    300
    """

    student: str | None = setting(
        None,
        "kind of student: bilstm (sentences), siamese (pairs) or tagger (tags of words); the one that fits the task if "
        "not given.",
    )
    tokenizer: str = setting(
        "wordpiece",
        "how the student sees text: pieces (a tagger's own, where the teacher has no capitals), or words.",
        choices=("wordpiece", "words"),
    )
    vocab_size: int | None = setting(
        None, "most vocabulary entries; all that the training text uses if not given.", low=8
    )
    student_max_length: int | None = setting(
        None, "longest text in the student's tokens; the task's own length if not given.", low=1
    )
    student_truncation: str = setting(
        "head", "what the student, and the exported student, reads of longer texts, as --teacher_truncation.",
        choices=TRUNCATIONS, late=True,
    )  # fmt: skip
    embeddings: str = setting(
        "teacher",
        "first values of the embeddings: the fine-tuned teacher's by SVD (wordpiece only), random, or --vectors.",
        choices=("teacher", "random", "vectors"),
    )
    vectors: str | None = path_setting(
        None,
        "word vectors, with --tokenizer=words --embeddings=vectors: a GloVe, fastText (.vec) or word2vec file (text; "
        "binary if named .bin), packed or not, or glove-6b-50d, an installed package.",
    )
    channels: str = setting(
        "nonstatic",
        "embeddings that learn, embeddings that keep their first values, or both side by side (Kim 2014).",
        choices=("nonstatic", "static", "multichannel"),
    )
    embedding_size: int | None = setting(
        None, f"width of the embeddings; if not given, that of --vectors, else {DEFAULT_WIDTH}.", low=1
    )
    hidden_size: int = setting(150, "LSTM units per direction.", low=1)
    dense_size: int = setting(200, "units of the fully connected layer; a tagger may have 0, no such layer.", low=0)
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
        if self.student is not None and self.student not in READS_PAIRS:
            hint = did_you_mean(self.student, READS_PAIRS)
            raise UserError(f"--student={self.student}: expected one of {', '.join(READS_PAIRS)}.{hint}")
        if self.embeddings == "teacher" and self.tokenizer == "words":
            raise UserError("--embeddings=teacher: only with --tokenizer=wordpiece; words take random or vectors")
        if (self.embeddings == "vectors") != (self.vectors is not None):
            raise UserError("--embeddings=vectors and --vectors=FILE go together")
        if self.embeddings == "vectors" and self.tokenizer != "words":
            raise UserError("--embeddings=vectors: only with --tokenizer=words")

    def width(self) -> int:
        """Width of one channel of the embeddings: asked for, or the vectors'; reads the first lines of ``vectors``.

        Raises:
          UserError: the vectors cannot be read, or ``embedding_size`` is not their width.
        """
        if self.vectors is None:
            return self.embedding_size or DEFAULT_WIDTH
        found = vector_width(self.vectors)
        if self.embedding_size not in (None, found):
            raise UserError(
                f"--embedding_size={self.embedding_size}: expected {found}, the width of --vectors={self.vectors}; "
                "leave --embedding_size out"
            )
        return found


def student_name(settings: StudentSettings, pair: bool, tagging: bool = False) -> str:
    """The student that reads sentences, or pairs, or tags words.

    Raises:
      UserError: another was asked for, or a shape that it cannot have.
    """
    fit = [name for name, reads_pairs in READS_PAIRS.items() if (reads_pairs, name in TAGGERS) == (pair, tagging)]
    name = settings.student or fit[0]
    if name not in fit:
        reads = "tag words" if tagging else "read pairs" if pair else "read single sentences"
        raise UserError(
            f"--student={name}: does not {reads}, which the task has; expected {' or '.join(fit)}, or leave --student "
            "out"
        )
    if tagging and settings.tokenizer != "wordpiece":
        raise UserError(f"--tokenizer={settings.tokenizer}: a tagger reads pieces; leave --tokenizer out")
    if tagging and settings.pooling != "last":
        raise UserError(f"--pooling={settings.pooling}: a tagger pools nothing; leave --pooling out")
    if not tagging and not settings.dense_size:
        raise UserError("--dense_size=0: only a tagger can do without the fully connected layer; expected at least 1")
    return name
