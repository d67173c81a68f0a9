"""Tasks about two sentences: whether they mean the same, whether one follows from the other, how similar they are.

Labels are in the order of GLUE in tensorflow-datasets, so that a teacher's outputs mean the same everywhere.
"""

from __future__ import annotations

from kd_keras.tasks.columns import Columns
from kd_keras.tasks.glue import glue
from kd_keras.tasks.official import TableDir
from kd_keras.tasks.records import Task
from kd_keras.tasks.tfds_source import Tfds

_THREE_WAY = ("entailment", "neutral", "contradiction")
_TWO_WAY = ("entailment", "not_entailment")
_SCORES = ("pearson", "spearman")

_MRPC = Task(
    name="mrpc",
    kind="pair",
    labels=("not_equivalent", "equivalent"),
    metrics=("f1", "accuracy"),
    columns=Columns(("#1 String",), "#2 String", "Quality", label_base=0),
    sources=glue("MRPC", "mrpc", "sentence1", "sentence2"),
    description="do two sentences of the news say the same (Dolan and Brockett 2005; GLUE)",
)
_QQP = Task(
    name="qqp",
    kind="pair",
    labels=("not_duplicate", "duplicate"),
    metrics=("accuracy", "f1"),
    columns=Columns(("question1",), "question2", "is_duplicate", label_base=0),
    sources=glue("QQP", "qqp", "question1", "question2"),
    description="do two questions on Quora ask the same (Iyer et al. 2017; GLUE)",
)
_MNLI = Task(
    name="mnli",
    kind="pair",
    labels=_THREE_WAY,
    columns=Columns(("sentence1",), "sentence2", "gold_label", label_base=0, no_gold=("-", "-1")),
    sources=(
        TableDir(
            "GLUE TSV",
            "train.tsv and dev_matched.tsv (and dev_mismatched.tsv)",
            ("MNLI", "multinli_1.0"),
            splits=(
                ("train", ("train.tsv", "multinli_1.0_train.jsonl")),
                ("dev", ("dev_matched.tsv", "multinli_1.0_dev_matched.jsonl")),
                ("dev_mismatched", ("dev_mismatched.tsv", "multinli_1.0_dev_mismatched.jsonl")),
            ),
        ),
        Tfds(
            "glue/mnli",
            ("premise",),
            (("train", "train"), ("dev", "validation_matched"), ("dev_mismatched", "validation_mismatched")),
            text_b="hypothesis",
        ),
    ),
    description="does the second sentence follow from the first, ten genres (Williams et al. 2018; GLUE)",
    extra_splits=("dev_mismatched",),
)
_QNLI = Task(
    name="qnli",
    kind="pair",
    labels=_TWO_WAY,
    columns=Columns(("question",), "sentence", "label", label_base=0),
    sources=glue("QNLI", "qnli", "question", "sentence"),
    description="does the sentence answer the question (Rajpurkar et al. 2016; GLUE)",
)
_RTE = Task(
    name="rte",
    kind="pair",
    labels=_TWO_WAY,
    columns=Columns(("sentence1",), "sentence2", "label", label_base=0),
    sources=glue("RTE", "rte", "sentence1", "sentence2"),
    description="does the second text follow from the first (Dagan et al. 2006 and later; GLUE)",
)
_SNLI = Task(
    name="snli",
    kind="pair",
    labels=_THREE_WAY,
    columns=Columns(("sentence1",), "sentence2", "gold_label", label_base=0, no_gold=("-", "-1")),
    sources=(
        TableDir(
            "SNLI TSV or JSONL",
            "train.tsv and dev.tsv, or snli_1.0_train.jsonl and snli_1.0_dev.jsonl",
            ("SNLI", "snli_1.0"),
            splits=(
                ("train", ("train.tsv", "snli_1.0_train.jsonl")),
                ("dev", ("dev.tsv", "snli_1.0_dev.jsonl")),
                ("test", ("test.tsv", "snli_1.0_test.jsonl")),
            ),
        ),
        Tfds("snli", ("premise",), (("train", "train"), ("dev", "validation"), ("test", "test")), text_b="hypothesis"),
    ),
    description="does the second sentence follow from a picture's caption (Bowman et al. 2015)",
)
_STSB = Task(
    name="stsb",
    kind="regression",
    labels=(),
    metric="pearson",
    metrics=_SCORES,
    columns=Columns(("sentence1",), "sentence2", "score"),
    sources=glue("STS-B", "stsb", "sentence1", "sentence2"),
    description="how alike two sentences are in meaning, 0 to 5 (Cer et al. 2017; GLUE)",
)
# tensorflow-datasets has no SICK.
_SICK_FILES = TableDir(
    "SICK",
    "train.tsv and dev.tsv, or SICK_train.txt and SICK_trial.txt",
    ("SICK",),
    splits=(
        ("train", ("train.tsv", "SICK_train.txt")),
        ("dev", ("dev.tsv", "SICK_trial.txt")),
        ("test", ("test.tsv", "SICK_test_annotated.txt")),
    ),
)
_SICK = Task(
    name="sick",
    kind="pair",
    labels=_THREE_WAY,
    columns=Columns(("sentence_A",), "sentence_B", "entailment_judgment", label_base=0),
    sources=(_SICK_FILES,),
    description="does the second sentence follow from the first, plain sentences (Marelli et al. 2014)",
)
_SICK_R = Task(
    name="sick_r",
    kind="regression",
    labels=(),
    metric="pearson",
    metrics=_SCORES,
    columns=Columns(("sentence_A",), "sentence_B", "relatedness_score"),
    sources=(_SICK_FILES,),
    description="how related two plain sentences are in meaning, 1 to 5 (Marelli et al. 2014)",
)

TASKS = (_MRPC, _QQP, _MNLI, _QNLI, _RTE, _SNLI, _STSB, _SICK, _SICK_R)
