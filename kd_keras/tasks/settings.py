"""The flags that say what to learn."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace

from kd_keras.common.config import path_setting, setting
from kd_keras.common.errors import UserError
from kd_keras.tasks import builtin
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.custom import custom
from kd_keras.tasks.file_settings import DELIMITERS, named
from kd_keras.tasks.label_names import parse_labels
from kd_keras.tasks.loading import load
from kd_keras.tasks.per_language import check_tagging, per_language
from kd_keras.tasks.records import Task, TaskData
from kd_keras.tasks.tagging_settings import TaggingSettings
from kd_keras.tasks.tagging_sources import METRICS, PanxDir, custom_tagging


@dataclass(frozen=True)
class TaskSettings(TaggingSettings):
    """The task, and the places of its rows.

    >>> TaskSettings(task="custom", train_file="mine.csv", metric="macro_f1").text_column
    'text'
    """

    group = "data"
    task: str = setting(
        "rotten_tomatoes",
        "what to learn (python -m kd_keras.tasks lists them), or custom for your own files.",
        main=True,
    )
    data_dir: str | None = path_setting(None, "folder with the data set in its official file layout.", main=True)
    train_file: str | None = path_setting(
        None, "what task custom learns from: a .csv, .tsv or .jsonl file, or a pipe.", main=True
    )
    dev_file: str | None = path_setting(
        None, "dev split of task custom; without it, a tenth of train is drawn.", main=True
    )
    test_file: str | None = path_setting(None, "test split of task custom, scored once at the end.")
    text_column: str = setting("text", "column of the text in your files.", main=True)
    text_b_column: str | None = setting(None, "column of the second text in your files; makes the task one of pairs.")
    label_column: str = setting("label", "column of the label in your files.", main=True)
    labels: str | None = setting(
        None,
        'names your labels in order, with commas between; "a, b",c if one has a comma; if not given, they '
        "are sorted. With --tagging, names types of entities, such as LOC,PER.",
    )
    regression: bool = setting(False, "reads the label column of task custom as a number, which is learned as such.")
    multilabel: bool = setting(False, "gives a text of task custom any number of labels, each decided by itself.")
    label_separator: str | None = setting(
        None,
        "separates the labels in the label column, with --multilabel (default: a comma); JSON lists need none.",
    )
    label_columns: str | None = setting(
        None, "columns of 0 and 1 in your files, one for each label, with commas between; makes the task --multilabel."
    )
    metric: str | None = setting(
        None,
        "chooses weights on dev; if not given, the task's own; for your own files macro_f1 if a class has "
        "over 70 % of the rows, micro_f1 with --multilabel, else accuracy. Taggings have entity_f1, "
        "conlleval_f1, entity_precision and entity_recall.",
        choices=("accuracy", "f1", "macro_f1", "mcc", "micro_f1", "exact_match", "pearson", "spearman", *METRICS),
    )
    class_weights: str = setting(
        "none",
        "weights rows of each class in the loss of gold labels: none (all the same), balanced (rare "
        "classes more), or a number for each label with commas between; with --multilabel, of rows that "
        "have the label.",
    )
    on_bad_row: str = setting(
        "stop",
        "what to do with a row that cannot be used: stop, or skip and list it.",
        choices=("stop", "skip"),
    )
    labels_per_class: int | None = setting(
        None,
        "learns from the labels of this many training rows of each class, drawn at random; the teacher "
        "labels the other rows for the student (transfer set 'rest'). --augment makes rows from the "
        "labeled ones alone.",
        low=1,
    )
    labels_seed: int = setting(1, "seed of that draw; a larger number of labels keeps what a smaller one drew.", low=0)
    task_module: str | None = setting(None, "imports this Python module first; it may register tasks.")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "label_separator", named(self.label_separator))


def load_data(settings: TaskSettings, task: Task | None = None) -> TaskData:
    """Train and dev of the task that the settings name (or of ``task``, if it is resolved already).

    >>> data = load_data(TaskSettings(task="custom", train_file="mine.csv"))
    >>> data.task.labels, len(data.train), len(data.dev)
    (('n', 'y'), 18, 2)

    Raises:
      UserError: the settings conflict, or a file or row cannot be read.
    """
    data = load(
        task or resolve(settings),
        settings.data_dir,
        settings.on_bad_row,
        settings.labels_per_class,
        settings.labels_seed,
        settings.metric,
        settings.class_weights,
    )
    return per_language(data, settings, settings.labels_seed) if data.task.is_tagging else data


_CUSTOM_ONLY = {
    "train_file": None,
    "dev_file": None,
    "test_file": None,
    "text_column": "text",
    "text_b_column": None,
    "label_column": "label",
    "labels": None,
    "regression": False,
    "multilabel": False,
    "label_separator": None,
    "label_columns": None,
    "tagging": False,
}
# Settings that files of a tagging task do not use.
_NO_TAGGING = ("text_b_column", "regression", "multilabel", "label_separator", "label_columns", "labels_per_class")


def resolve(settings: TaskSettings) -> Task:
    """The task that the settings name. Raises UserError if the settings conflict."""
    task = _named(settings)
    check_tagging(task, settings)
    panx = any(isinstance(source, PanxDir) for source in task.sources)
    if settings.languages != "all" and not panx:
        raise UserError(f"--languages={settings.languages}: belongs to --task=panx, not to --task={settings.task}")
    if not panx:
        return task
    sources = (replace(s, languages=settings.languages) if isinstance(s, PanxDir) else s for s in task.sources)
    return replace(task, sources=tuple(sources))


def _named(settings: TaskSettings) -> Task:
    if settings.task_module:
        try:
            importlib.import_module(settings.task_module)
        except Exception as e:  # a user's module may raise anything
            why = " ".join(f"{type(e).__name__}: {e}".split())
            raise UserError(f"--task_module={settings.task_module}: cannot be imported ({why})") from e
    if settings.task != "custom":
        task = builtin.get(settings.task)
        for name, default in _CUSTOM_ONLY.items():
            value = getattr(settings, name)
            if value != default:
                given = f"--{name}" if value is True else f"--{name}={value}"
                raise UserError(f"{given} belongs to --task=custom, not to --task={settings.task}")
        return task
    if not settings.train_file:
        raise UserError("--task=custom needs --train_file=FILE (.csv, .tsv or .jsonl)")
    if settings.data_dir:
        raise UserError(f"--data_dir={settings.data_dir}: task custom reads --train_file, not a folder")
    if settings.tagging:
        return _tagging(settings)
    several = settings.multilabel or settings.label_columns is not None
    if settings.regression and several:
        raise UserError("--regression learns one number, --multilabel learns labels; leave out one of the two")
    if settings.label_separator is not None and not settings.label_separator.strip():
        raise UserError(
            f"--label_separator={settings.label_separator!r}: expected the text between labels, or one of "
            f"{', '.join(DELIMITERS)}"
        )
    if settings.label_separator is not None and (not several or settings.label_columns):
        raise UserError(f"--label_separator={settings.label_separator}: belongs to --multilabel with --label_column")
    if settings.label_columns and settings.label_column != "label":
        raise UserError(
            f"--label_column={settings.label_column}: --label_columns names the columns already; leave "
            f"out one of the two"
        )
    separator = settings.label_separator or ","
    columns = Columns(
        (settings.text_column,),
        settings.text_b_column,
        settings.label_column,
        labels=tuple(parse_labels(settings.label_columns, "--label_columns")) if settings.label_columns else (),
        separator=DELIMITERS.get(separator, separator) if several else None,
    )
    return custom(
        train_file=settings.train_file,
        dev_file=settings.dev_file,
        test_file=settings.test_file,
        columns=columns,
        labels=parse_labels(settings.labels) if settings.labels else None,
        regression=settings.regression,
        files=settings.file_settings(),
    )


def _tagging(settings: TaskSettings) -> Task:
    for name in _NO_TAGGING:
        if (value := getattr(settings, name)) not in (None, False):
            given = f"--{name}" if value is True else f"--{name}={value}"
            raise UserError(
                f"{given}: does not go with --tagging, which gives each word a tag; leave out one of the two"
            )
    return custom_tagging(
        settings.train_file,
        settings.dev_file,
        settings.test_file,
        Columns((settings.text_column,), None, settings.label_column),
        parse_labels(settings.labels) if settings.labels else None,
        settings.file_settings(),
    )
