"""The flags of augmentation. No heavy import, so that a command checks them at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from kd_keras.common.config import AUTO, Checked, path_setting, setting
from kd_keras.common.errors import UserError
from kd_keras.common.machine import cpus

RULES = ("mask", "pos", "ngram")
# Tasks whose rows are longer than a sentence. Their unlabeled texts stay whole too.
WHOLE_TEXTS = ("ag_news", "dbpedia", "imdb")

# The rows that --augment=auto makes in all.
_ENOUGH = 12_000
# The sentences of --unlabeled=auto. They take a minute or two of labeling.
_GENERAL = 60_000
_PAIRS = 20_000


@dataclass(frozen=True)
class AugmentSettings(Checked):
    """The rules of Tang et al. 2019, section 3.3, with their constants as defaults."""

    group = "text"
    augment: str = setting(
        AUTO,
        "makes more text of the training text, by one of these rules or by all; auto: all for your own texts and "
        "pairs if you name no unlabeled text, else none.",
        choices=(AUTO, "none", *RULES, "all"),
        main=True,
    )
    n_iter: float | str = setting(
        AUTO,
        "draws this many new rows from each training row, before repeats are dropped; auto: 20, or with "
        "--augment=auto as many as make some 12,000.",
        low=1,
    )
    p_mask: float = setting(0.1, "probability that --augment=mask replaces a word by [MASK].", low=0.0, high=1.0)
    p_pos: float = setting(
        0.1, "probability that --augment=pos replaces a word by another of its part of speech.", low=0.0, high=1.0
    )
    p_ng: float = setting(0.25, "probability that --augment=ngram keeps only an n-gram of a row.", low=0.0, high=1.0)
    max_ngram: int = setting(
        5, "longest n-gram that --augment=ngram keeps; its length is drawn uniformly from 1 on.", low=1
    )
    tagger: str = setting(
        "hanta",
        "tags parts of speech for --augment=pos: hanta (English), or spacy if it is installed.",
        choices=("hanta", "spacy"),
    )
    augment_seed: int = setting(1, "seed of the augmented rows.", low=0)
    augment_workers: int | None = setting(
        None, "processes that augment; if not given, one for each CPU. They change no row.", low=1, group="machines"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_iter != AUTO and int(self.n_iter) != self.n_iter:
            raise UserError(f"--n_iter={self.n_iter:g}: expected a whole number or {AUTO}")
        if self.p_mask + self.p_pos > 1:
            raise UserError(
                f"--p_mask={self.p_mask:g} and --p_pos={self.p_pos:g}: one draw for each word decides between them, "
                f"so they must add up to at most 1, found {self.p_mask + self.p_pos:g}"
            )

    def decided(self, rows: int, automatic: bool) -> AugmentSettings:
        """The settings with auto replaced by a rule and a number.

        Args:
          rows: the number of training rows.
          automatic: whether --augment=auto makes rows.
        """
        augment, many = self.augment, 20
        if augment == AUTO:
            augment, many = ("all", max(1, min(20, _ENOUGH // max(1, rows)))) if automatic else ("none", 20)
        return replace(self, augment=augment, n_iter=many if self.n_iter == AUTO else int(self.n_iter))

    def key(self) -> dict:
        """The settings that the new rows depend on."""
        return {k: v for k, v in asdict(self).items() if k != "augment_workers"}

    @property
    def processes(self) -> int:
        return self.augment_workers or cpus()

    def chance(self, rule: str) -> float:
        """The probability of ``rule``; 0 if --augment does not use it."""
        value = {"mask": self.p_mask, "pos": self.p_pos, "ngram": self.p_ng}[rule]
        return value if self.augment in (rule, "all") else 0.0


@dataclass(frozen=True)
class UnlabeledSettings(Checked):
    """Text without labels that the teacher labels. It helps distillation most (Mukherjee & Awadallah 2019)."""

    group = "text"
    unlabeled: str = setting(
        AUTO,
        "adds unlabeled text: task is what the task knows of (sentences of the packaged IMDB reviews for "
        "rotten_tomatoes and sst2, the unsupervised part of aclImdb for imdb, new pairs of a pair task's own texts), "
        "general is any English, sentences of the packaged IMDB reviews; auto, if you name no text: for your own "
        "texts 60,000 of general if the package is installed, for your own pairs 20,000 of task, else none.",
        choices=(AUTO, "none", "task", "general"),
    )
    unlabeled_files: str | None = path_setting(
        None,
        "your own unlabeled text: files with commas between, * allowed; one document, sentence or pair (with a tab "
        "between) a line, or .csv, .tsv, .jsonl, or .conll for a tagging; packed files and pipes too.",
        kind="many",
        main=True,
    )
    unlabeled_column: str = setting("text", "column of the text in unlabeled .csv, .tsv and .jsonl files.")
    split_sentences: bool | None = setting(
        None,
        "splits documents into sentences; if not given, for all tasks but those of whole texts "
        f"({', '.join(WHOLE_TEXTS)}), and for your own files unless a tenth of the rows have several sentences.",
    )
    min_words: int = setting(3, "leaves out shorter unlabeled texts.", low=1)
    max_words: int | None = setting(
        None,
        "leaves out longer unlabeled texts; if not given, those of over 60 words for sentences and 2,500 "
        "for whole texts.",
        low=1,
    )
    max_unlabeled: int | None = setting(
        None, "uses at most this many unlabeled texts, drawn at random by --unlabeled_seed.", low=1
    )
    unlabeled_seed: int = setting(1, "seed of the draw of --max_unlabeled.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_words is not None and self.min_words > self.max_words:
            raise UserError(
                f"--min_words={self.min_words} and --max_words={self.max_words}: expected --min_words to be smaller"
            )

    def for_task(self, name: str) -> UnlabeledSettings:
        """The settings for the task called ``name``, with defaults filled in."""
        split = name not in WHOLE_TEXTS if self.split_sentences is None else self.split_sentences
        return replace(self, split_sentences=split, max_words=self.max_words or (60 if split else 2500))

    @property
    def wanted(self) -> bool:
        return self.unlabeled not in (AUTO, "none") or bool(self.unlabeled_files)

    def decided(self, automatic: bool, pair: bool = False) -> UnlabeledSettings:
        """The settings with auto replaced; ``automatic`` says whether it may become text, and of pairs which."""
        if self.unlabeled != AUTO or self.unlabeled_files or not automatic:
            return replace(self, unlabeled="none") if self.unlabeled == AUTO else self
        if pair:
            return replace(self, unlabeled="task", max_unlabeled=self.max_unlabeled or _PAIRS)
        return replace(
            self,
            unlabeled="general",
            max_unlabeled=self.max_unlabeled or _GENERAL,
            max_words=self.max_words or max(20, 2 * self.min_words),
            split_sentences=self.split_sentences is not False,
        )
