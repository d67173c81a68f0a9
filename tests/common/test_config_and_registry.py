"""Settings that check themselves, flags that reload, and names that are nearly right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from absl import flags

from kd_keras.common.config import Checked, define_flags, flags_text, from_flags, setting
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.registry import Registry
from kd_keras.common.seeds import rng
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.runs.settings import JobSettings
from kd_keras.students.settings import StudentSettings
from kd_keras.teachers.settings import LabelSettings, TeacherSettings


@dataclass(frozen=True)
class Sample(Checked):
    group = "training"
    zz_part: float = setting(0.25, "a share.", low=0.0, high=1.0)
    zz_count: int = setting(3, "how many.", low=1)
    zz_most: int | None = setting(None, "at most.", high=9)
    zz_name: str | None = setting(None, "a name.")
    zz_kind: str = setting("mean", "which.", choices=("mean", "max"))
    zz_on: bool = setting(True, "whether.")


def test_a_registry_names_near_ones_and_refuses_a_second_of_a_name():
    registry: Registry[int] = Registry("teacher")
    assert registry.register("minilm-l6", 6) == 6
    registry.register("bert-base", 12)
    assert registry.get("minilm-l6") == 6 and "bert-base" in registry and list(registry) == [6, 12]
    with pytest.raises(UserError, match=r"unknown teacher 'minilm-16'\. Did you mean minilm-l6\? Known: bert-base, m"):
        registry.get("minilm-16")
    with pytest.raises(UserError) as far:
        registry.get("qqq")
    assert "Did you mean" not in str(far.value)
    with pytest.raises(ValueError, match="registered already"):
        registry.register("bert-base", 1)


def test_did_you_mean_is_blind_to_case_and_silent_on_strangers():
    assert did_you_mean("SST-2", ["sst2", "cola"]) == " Did you mean sst2?"
    assert did_you_mean("zzz", ["sst2", "cola"]) == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecipeSettings(alpha=1.5), "--alpha=1.5: expected at least 0 and at most 1"),
        (lambda: RecipeSettings(alpha=-0.1), "--alpha=-0.1: expected at least 0 and at most 1"),
        (lambda: RecipeSettings(alpha=float("nan")), "--alpha=nan: expected at least 0 and at most 1"),
        (lambda: RecipeSettings(soft="klm"), "--soft=klm: expected one of mse, kl. Did you mean kl?"),
        (lambda: JobSettings(seeds=0), "--seeds=0: expected at least 1"),
        (lambda: TrainSettings(batch_size=0), "--batch_size=0: expected at least 1"),
        (lambda: TeacherSettings(teacher_max_length=2), "--teacher_max_length=2: expected at least 3"),
        (
            lambda: LabelSettings(hidden="clss"),
            "--hidden=clss: expected one of none, cls, mean, word. Did you mean cls?",
        ),
        (lambda: Sample(zz_most=10), "--zz_most=10: expected at most 9"),
        (lambda: StudentSettings(tokenizer="words"), "--embeddings=teacher: needs --tokenizer=wordpiece"),
        (lambda: StudentSettings(embeddings="vectors"), "--embeddings=vectors and --vectors=FILE: expected both"),
        (
            lambda: StudentSettings(vectors="f", embeddings="random"),
            "--embeddings=vectors and --vectors=FILE: expected both",
        ),
        (lambda: StudentSettings(vectors="f", embeddings="vectors"), "--embeddings=vectors: needs --tokenizer=wor"),
        (lambda: StudentSettings(dropout=1.0), "--dropout=1: expected at least 0 and at most 0.95"),
    ],
)
def test_a_value_out_of_its_limits_is_refused_in_one_line(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_limits_are_inclusive():
    assert (RecipeSettings(alpha=0.0).alpha, RecipeSettings(alpha=1.0).alpha, Sample(zz_most=9).zz_most) == (
        0.0,
        1.0,
        9,
    )


@pytest.fixture(scope="module")
def sample_flags():
    if "zz_part" not in flags.FLAGS:
        define_flags(Sample)
    return [f for f in Sample.__dataclass_fields__]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--zz_part=0.5", "--zz_count=7", "--zz_name=a name, with # and = and 'quotes'", "--nozz_on"],
        ["--zz_most=0", "--zz_kind=max", "--zz_name=naïve 中文"],
    ],
)
def test_the_written_flags_reload_to_the_same_settings(sample_flags, arguments, tmp_path):
    def parse(*argv):
        for name in sample_flags:
            flags.FLAGS[name].unparse()
        flags.FLAGS(["test", *argv])
        return from_flags(Sample)

    settings = parse(*arguments)
    path = tmp_path / "flags.txt"
    path.write_text(flags_text(flags.FLAGS, [Sample]), encoding="utf-8")
    assert parse() == Sample(), "the flags were not reset, so the next line would prove nothing"
    assert parse(f"--flagfile={path}") == settings
    assert (settings != Sample()) == bool(arguments)


def test_an_override_wins_over_a_flag(sample_flags):
    flags.FLAGS(["test", "--zz_count=7"])
    assert from_flags(Sample, zz_count=2).zz_count == 2


def test_each_purpose_draws_from_a_generator_of_its_own():
    first = rng(1, "shuffle", 0).integers(1 << 30, size=4).tolist()
    assert first == rng(1, "shuffle", 0).integers(1 << 30, size=4).tolist()
    for other in (rng(2, "shuffle", 0), rng(1, "shuffle", 1), rng(1, "dropout", 0)):
        assert other.integers(1 << 30, size=4).tolist() != first
