"""The tasks that come with the project."""

from __future__ import annotations

from kd_keras.common.errors import UserError
from kd_keras.common.registry import Registry
from kd_keras.tasks import pairs, tagging_sources
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.glue import glue
from kd_keras.tasks.official import ReviewFolders, SentencePolarity, TableDir
from kd_keras.tasks.packages import ImdbPackage, RottenTomatoesPackages
from kd_keras.tasks.records import Task
from kd_keras.tasks.tfds_source import Tfds

_REGISTRY: Registry[Task] = Registry("task")
_POLARITY = ("negative", "positive")
_TRAIN_TEST = (("train", "train"), ("test", "test"))
_CSV_FILES = (("train", ("train.csv",)), ("test", ("test.csv",)))
_TITLED = Columns(("title", "description"), None, "label", ("label", "title", "description"), 1)


def register(task: Task) -> Task:
    """Adds a task. The module of ``--task_module`` calls it. Raises ValueError if the name is taken."""
    if task.name == "custom":
        raise ValueError("the name 'custom' is reserved for --train_file")
    return _REGISTRY.register(task.name, task)


def get(name: str) -> Task:
    """The task called ``name``. Raises UserError with near names if there is none."""
    if name == "custom":
        raise UserError("--task=custom needs --train_file=FILE")
    return _REGISTRY.get(name)


def names() -> list[str]:
    return _REGISTRY.names()


register(
    Task(
        name="sst2",
        kind="single",
        labels=_POLARITY,
        columns=Columns(("sentence",), label_base=0),
        sources=glue("SST-2", "sst2", "sentence"),
        description="sentiment of phrases from film reviews (Socher et al. 2013; GLUE)",
        max_length=64,
    )
)
register(
    Task(
        name="cola",
        kind="single",
        labels=("unacceptable", "acceptable"),
        metric="mcc",
        metrics=("mcc", "accuracy"),
        columns=Columns(("sentence",), headerless=("source", "label", "star", "sentence"), label_base=0),
        sources=glue("CoLA", "cola", "sentence", header=False),
        description="grammatical or not (Warstadt et al. 2018; GLUE)",
        max_length=64,
    )
)
register(
    Task(
        name="rotten_tomatoes",
        kind="single",
        labels=_POLARITY,
        metrics=("accuracy", "f1"),
        columns=Columns(("text",), label_base=0),
        sources=(
            SentencePolarity("Pang & Lee's files", "rt-polarity.pos and rt-polarity.neg", ("rt-polaritydata",)),
            RottenTomatoesPackages(),
        ),
        description="sentiment of sentences from film reviews (Pang and Lee 2005); works without a network",
        max_length=64,
    )
)
register(
    Task(
        name="imdb",
        kind="single",
        labels=_POLARITY,
        columns=Columns(("text",), label_base=0),
        sources=(
            ReviewFolders("aclImdb", "train/neg, train/pos (or train.tsv: label, text)", ("aclImdb",)),
            Tfds("imdb_reviews/plain_text", ("text",), _TRAIN_TEST),
            ImdbPackage(),
        ),
        description="sentiment of whole film reviews (Maas et al. 2011)",
        max_length=256,
    )
)
register(
    Task(
        name="ag_news",
        kind="single",
        labels=("World", "Sports", "Business", "Sci/Tech"),
        metrics=("accuracy", "macro_f1"),
        columns=_TITLED,
        sources=(
            TableDir(
                "AG News CSV",
                "train.csv (and test.csv)",
                ("ag_news_csv",),
                splits=_CSV_FILES,
                official_header=False,
            ),
            Tfds("ag_news_subset", ("title", "description"), _TRAIN_TEST),
        ),
        description="topic of news items (Zhang et al. 2015)",
    )
)
register(
    Task(
        name="dbpedia",
        kind="single",
        labels=(
            "Company",
            "EducationalInstitution",
            "Artist",
            "Athlete",
            "OfficeHolder",
            "MeanOfTransportation",
            "Building",
            "NaturalPlace",
            "Village",
            "Animal",
            "Plant",
            "Album",
            "Film",
            "WrittenWork",
        ),
        metrics=("accuracy", "macro_f1"),
        columns=_TITLED,
        sources=(
            TableDir(
                "DBpedia CSV",
                "train.csv (and test.csv)",
                ("dbpedia_csv",),
                splits=_CSV_FILES,
                official_header=False,
            ),
            # tensorflow-datasets has DBpedia only through its hub bridge.
            Tfds("dbpedia_14", ("title", "content"), _TRAIN_TEST, "huggingface:dbpedia_14", "datasets"),
        ),
        description="kind of thing that an encyclopedia's article is about (Zhang et al. 2015)",
    )
)
for _task in (*pairs.TASKS, *tagging_sources.TASKS):
    register(_task)
