"""Means, spreads and the table, from numbers made up here."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.metrics import mean_and_spread
from kd_keras.runs.score_table import summary


def metrics(seeds=(1, 2, 3), baseline=True, splits=("dev", "test")) -> dict:
    def part(value, spread):
        scores = {s: {"accuracy": value + n / 100, "f1": value - 0.1} for n, s in enumerate(splits)}
        return {
            **scores,
            "spread": {s: {"accuracy": spread, "f1": spread / 2} for s in splits},
            "parameters": 1_234_567,
            "parameters_without_embeddings": 34_567,
        }

    made = {
        "rows": {"train": 9, **dict.fromkeys(splits, 9)},
        "seeds": list(seeds),
        "teacher": part(0.95, 0.0),
        "student": part(0.9, 0.004),
    }
    return made | ({"baseline": part(0.873, 0.01)} if baseline else {})


def parsed(text: str) -> list[list[str]]:
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1, "columns stand below each other on a screen"
    return [[c.strip() for c in line.strip("|").split("|")] for line in lines]


def test_the_table_has_scores_spreads_sizes_and_the_gain():
    head, rule, *rows = parsed(summary(metrics()))
    assert head == ["", "dev accuracy", "dev f1", "test accuracy", "test f1", "parameters", "without embeddings"]
    assert set("".join(rule)) == {"-", ":"}
    assert rows == [
        ["teacher", "95.00", "85.00", "96.00", "85.00", "1.23 M", "0.03 M"],
        ["student, no distillation", "87.30 ± 1.00", "77.30 ± 0.50", "88.30 ± 1.00", "77.30 ± 0.50", "1.23 M", "0.03 M"],
        ["student, distilled", "90.00 ± 0.40", "80.00 ± 0.20", "91.00 ± 0.40", "80.00 ± 0.20", "1.23 M", "0.03 M"],
        ["gain of distillation", "+2.70", "+2.70", "+2.70", "+2.70", "", ""],
    ]  # fmt: skip


def test_an_ensemble_has_a_line_of_its_teachers_one_by_one():
    made = metrics(splits=("dev",))
    alone = {"mean": {"dev": {"accuracy": 0.93, "f1": 0.8}}, "spread": {"dev": {"accuracy": 0.005, "f1": 0.01}}}
    made["teacher"] |= {"seeds": [4, 5, 6], "ensemble": alone}
    _, _, one, together, *_ = parsed(summary(made))
    assert one == ["one of 3 teachers", "93.00 ± 0.50", "80.00 ± 1.00", "1.23 M", "0.03 M"]
    assert together == ["3 teachers together", "95.00", "85.00", "3 × 1.23 M", "3 × 0.03 M"]


def test_one_seed_has_no_spread_and_no_baseline_no_gain():
    rows = parsed(summary(metrics(seeds=(1,), baseline=False, splits=("dev",))))
    assert [r[0] for r in rows[2:]] == ["teacher", "student, distilled"]
    assert "±" not in summary(metrics(seeds=(1,)))
    assert not any("test" in c for c in rows[0])


def test_spread_is_the_sample_standard_deviation():
    assert mean_and_spread([0.8, 0.9, 0.85]) == pytest.approx((0.85, 0.05))
    assert mean_and_spread([0.7]) == (0.7, 0.0)
    assert mean_and_spread([1.0, 3.0]) == pytest.approx((2.0, np.sqrt(2)))
