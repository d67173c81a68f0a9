"""What to learn: tasks, where their data comes from, and rows with stable ids."""

from kd_keras.tasks.builtin import get, names, register
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.conll import write_conll
from kd_keras.tasks.custom import custom
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.loading import load, load_test
from kd_keras.tasks.readers import read_labelled, read_texts
from kd_keras.tasks.records import Task, TaskData
from kd_keras.tasks.rows import Rows, has_label, is_gold, no_labels, text_hash, text_hashes, words_of
from kd_keras.tasks.settings import TaskSettings, load_data, resolve
from kd_keras.tasks.tagged import TaggedFile
from kd_keras.tasks.tagging_sources import custom_tagging
from kd_keras.tasks.untagged import read_words

__all__ = [
    "Columns",
    "FileSettings",
    "Rows",
    "TaggedFile",
    "Task",
    "TaskData",
    "TaskSettings",
    "custom",
    "custom_tagging",
    "get",
    "has_label",
    "is_gold",
    "load",
    "load_data",
    "load_test",
    "names",
    "no_labels",
    "read_labelled",
    "read_texts",
    "read_words",
    "register",
    "resolve",
    "text_hash",
    "text_hashes",
    "words_of",
    "write_conll",
]
