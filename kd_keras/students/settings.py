"""The flags of the student's shape. No Keras import, so that a command checks them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kd_keras.common.config import Checked, path_setting, setting
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.text.characters import ALL, CHARACTERS
from kd_keras.text.truncation import TRUNCATIONS
from kd_keras.text.vectors import vector_width

# Every registered student → whether it reads pairs. The first of each kind is the default.
READS_PAIRS = {"bilstm": False, "siamese": True, "tagger": False, "universal": False}
# Students that give each word a tag, and students that give each text a vector.
TAGGERS, ENCODERS = ("tagger",), ("universal",)
# How states are pooled over time: the states at the ends, the maximum, or the mean.
LAST, MAX, MEAN = POOLINGS = ("last", "max", "mean")
# The layer that turns the pooled states into a sentence vector, and the one that gives it length 1.
VECTOR, UNIT = "vector", "unit"
# Tang et al. 2019, section 4.2.
DEFAULT_WIDTH = 300


@dataclass(frozen=True)
class StudentSettings(Checked):
    """The student's shape. Tang et al. 2019 search hidden_size {150, 300} and dense_size {200, 400}.

    >>> StudentSettings(hidden_size=64, dense_size=64).width()
    300
    """

    group = "student"
    student: str | None = setting(
        None,
        "kind of student: bilstm (sentences), siamese (pairs), tagger (tags of words) or universal "
        "(vectors of sentences, which pretrain makes); if not given, the one that fits the task.",
    )
    tokenizer: str = setting(
        "wordpiece",
        "how the student sees text: pieces (a tagger's own, if the teacher has no capitals), or words.",
        choices=("wordpiece", "words"),
    )
    vocab_size: int | None = setting(
        None, "keeps at most this many vocabulary entries; if not given, all that the training text uses.", low=8
    )
    vocab_characters: str = setting(
        ALL,
        "single characters that a vocabulary always keeps when it is cut from the teacher's: all of them, or ascii, "
        "which leaves room for words. Other characters then stay if the text often uses them.",
        choices=CHARACTERS,
        late=True,
    )
    student_max_length: int | None = setting(
        None, "longest text in the student's tokens; the task's own length if not given.", low=1
    )
    student_truncation: str = setting(
        "head",
        "what the student, and its exported files, read of a longer text, as --teacher_truncation.",
        choices=TRUNCATIONS,
        late=True,
    )
    embeddings: str = setting(
        "teacher",
        "first values of the embeddings: the fine-tuned teacher's by SVD (wordpiece only), random, or --vectors.",
        choices=("teacher", "random", "vectors"),
    )
    vectors: str | None = path_setting(
        None,
        "word vectors, with --tokenizer=words --embeddings=vectors: a GloVe, fastText (.vec) or word2vec "
        "file (text; binary if named .bin), packed or not, or glove-6b-50d, an installed package.",
    )
    channels: str = setting(
        "nonstatic",
        "embeddings that learn (nonstatic), that keep their first values (static), or both side by side "
        "(multichannel; Kim 2014).",
        choices=("nonstatic", "static", "multichannel"),
    )
    embedding_size: int | None = setting(
        None, f"width of the embeddings; if not given, that of --vectors, else {DEFAULT_WIDTH}.", low=1
    )
    hidden_size: int = setting(150, "LSTM units of each direction.", low=1, main=True)
    sentence_size: int = setting(
        0,
        "size of the sentence vector, of fixed length, that a linear layer makes of the pooled states; 0: "
        "the states are that vector. --student_from=RUN of pretrain brings its own.",
        low=0,
        late=True,
    )
    dense_size: int = setting(200, "units of the fully connected layer; 0: no such layer, a linear head.", low=0)
    pooling: str = setting(
        LAST,
        "makes the sentence vector of the states: last (of both directions), max or mean over time.",
        choices=POOLINGS,
    )
    embedding_dropout: float = setting(0.4, "share of the embeddings' values dropped in training.", low=0.0, high=0.95)
    word_dropout: float = setting(0.1, "share of the tokens dropped whole in training.", low=0.0, high=0.95)
    dropout: float = setting(0.4, "share of the sentence vector dropped in training.", low=0.0, high=0.95)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.student is not None and self.student not in READS_PAIRS:
            hint = did_you_mean(self.student, READS_PAIRS)
            raise UserError(f"--student={self.student}: expected one of {', '.join(READS_PAIRS)}.{hint}")
        if self.embeddings == "teacher" and self.tokenizer == "words":
            raise UserError(
                "--embeddings=teacher: needs --tokenizer=wordpiece; with --tokenizer=words use random or vectors"
            )
        if (self.embeddings == "vectors") != (self.vectors is not None):
            raise UserError("--embeddings=vectors and --vectors=FILE: expected both or neither")
        if self.embeddings == "vectors" and self.tokenizer != "words":
            raise UserError("--embeddings=vectors: needs --tokenizer=words")

    def width(self) -> int:
        """Width of one channel of the embeddings: as set, or that of the vectors. It reads the first lines of
        ``vectors``.

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


# The layers of an encoder, from the top down. A student can start from another one's.
ENCODER = (VECTOR, "bilstm", "embeddings", "embeddings_static")
# The factor of the learning rate that these layers then have.
_SLOW = 0.3
# Settings that both students must share for these layers.
_OF_AN_ENCODER = ("tokenizer", "channels", "embedding_size", "hidden_size", "pooling")
# Dropout that these layers keep: embeddings that learned without dropout lose much if two fifths of the values go.
_OF_ITS_TRAINING = ("embedding_dropout", "word_dropout")


@dataclass(frozen=True)
class WarmSettings(Checked):
    """The student that another one starts from, and how the layers that it takes continue to learn."""

    group = "student"
    student_from: str | None = path_setting(
        None,
        "run folder of pretrain or train: the student starts with its vocabulary, embeddings, BiLSTM and "
        "sentence vector, in its shape and, if you give none, with its dropout of embeddings and words.",
    )
    student_rate: float = setting(
        _SLOW,
        "multiplies the learning rate of the layers that --student_from brought; 0: they stay as they are.",
        low=0.0,
        high=1.0,
    )
    student_unfreeze: bool = setting(
        False,
        "lets the layers of --student_from learn one after the other, from the top down: head, BiLSTM, embeddings.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.student_from is None and (self.student_unfreeze or self.student_rate != _SLOW):
            flag = "student_unfreeze" if self.student_unfreeze else f"student_rate={self.student_rate:g}"
            raise UserError(
                f"--{flag}: needs --student_from=RUN, whose layers it is for; name a run, or leave the flag out"
            )

    def key(self, student: str) -> dict:
        """For keys of runs; ``student`` is the hash of the file. Empty if no student is taken."""
        if self.student_from is None:
            return {}
        how = {"rate": self.student_rate, "unfreeze": self.student_unfreeze}
        return {"student_from": {"student": student, **how}}


def shape_of(settings: StudentSettings, other: Mapping[str, Any], where: str) -> StudentSettings:
    """``settings`` with the encoder of ``other``, which is "student" in the run.json of ``where``.

    Raises:
      UserError: the user set another shape, or ``other`` is no student.
    """
    default, known = StudentSettings(), {name: other.get(name) for name in _OF_AN_ENCODER}
    if any(name not in other for name in _OF_AN_ENCODER):
        raise UserError(f"--student_from={where}: has no student's shape; expected a run folder of pretrain or train")
    for name, value in known.items():
        if (asked := getattr(settings, name)) not in (getattr(default, name), value):
            raise UserError(f"--{name}={asked}: the student of --student_from={where} has {value}; leave the flag out")
    if settings.sentence_size not in (0, other.get("sentence_size", 0)):
        raise UserError(
            f"--sentence_size={settings.sentence_size}: the student of --student_from={where} has "
            f"{other.get('sentence_size', 0)}; leave the flag out"
        )
    known["sentence_size"] = other.get("sentence_size", 0)
    for name in _OF_ITS_TRAINING:
        if name in other and getattr(settings, name) == getattr(default, name):
            known[name] = other[name]
    # The student brings its vocabulary and first embeddings, and also the vectors of words.
    return replace(settings, **known, vectors=None, embeddings="random" if known["tokenizer"] == "words" else "teacher")


def student_name(settings: StudentSettings, pair: bool, tagging: bool = False, vectors: bool = False) -> str:
    """The name of the student that fits the task: for sentences, pairs, tags of words, or vectors.

    Raises:
      UserError: the user set another student, or a shape that it cannot have.
    """
    wanted = (pair, tagging, vectors)
    fit = [name for name, pairs in READS_PAIRS.items() if (pairs, name in TAGGERS, name in ENCODERS) == wanted]
    name = settings.student or fit[0]
    if name not in fit:
        reads = "tag words" if tagging else "read pairs" if pair else "read single sentences"
        reads = "give vectors" if vectors else reads
        raise UserError(
            f"--student={name}: does not {reads}, which the task has; expected {' or '.join(fit)}, or leave --student "
            "out"
        )
    if tagging and settings.tokenizer != "wordpiece":
        raise UserError(f"--tokenizer={settings.tokenizer}: a tagger reads pieces; leave --tokenizer out")
    if tagging and settings.pooling != LAST:
        raise UserError(f"--pooling={settings.pooling}: a tagger has no pooling; leave --pooling out")
    return name
