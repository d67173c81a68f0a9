"""What a grid says of its best arm, and which commands follow."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.runs.grid_verdict import Cell, grid_verdict

# 50 rows, of which an arm with 40 right has a standard error of about sqrt(0.8 * 0.2 / 50) = 5.7 percent.
LABEL = np.tile([0, 1], 25)


def logits(right: int) -> np.ndarray:
    return np.eye(2)[np.where(np.arange(50) < right, LABEL, 1 - LABEL)]


def job(labels=("a", "b"), seeds: int = 1, output_dir: str | None = "my runs/grid", tagging: bool = False):
    return SimpleNamespace(
        task=SimpleNamespace(metric="accuracy", is_tagging=tagging, labels=labels),
        data=SimpleNamespace(dev=SimpleNamespace(label=LABEL)),
        job=SimpleNamespace(seeds=seeds, output_dir=output_dir),
        folder=lambda: Path("my runs/grid"),
    )


def cell(title: str, right: int, kind: str = "distilled", spread: float = 0.0, alone: dict | None = None) -> Cell:
    arms = [
        SimpleNamespace(
            kind=kind,
            name=f"{title}-seed{seed}",
            plan=SimpleNamespace(title=title),
            history={"best": right / 50 - 0.01 * (seed == 1)},
            logits={"dev": logits(right)},
        )
        for seed in (1, 2)
    ]
    return Cell(arms, {"dev": {"accuracy": right / 50}, "spread": {"dev": {"accuracy": spread}}}, alone)


def test_a_lead_is_told_from_chance():
    said, steps = grid_verdict(job(), [cell("none", 25, "baseline"), cell("joint", 40), cell("soft", 39)])
    best, second, without = said.replace(". ", ".\n").split("\n")
    assert best == 'The best arm on dev is "joint", with accuracy 80.00.'
    assert second.startswith('It leads "soft" by 2.00, which is within dev\'s standard error (')
    assert float(second.split("(")[1].rstrip(").")) == pytest.approx(100 * (0.8 * 0.2 / 50) ** 0.5, rel=0.1)
    assert without.startswith('It leads "none" by 30.00, which is more than dev\'s standard error (')
    assert [shlex.split(command)[2:] for _, command in steps] == [
        ["kd_keras.export", "--model_dir=my runs/grid", "--arm=joint-seed2"],
        ["kd_keras.train", "--flagfile=my runs/grid/flags.txt", "--seeds=3"],
    ]


def test_the_seeds_count_if_they_differ_by_more():
    cells = [cell("none", 31, "baseline"), cell("joint", 40, spread=0.2, alone={"recipe": "joint"})]
    said, steps = grid_verdict(job(seeds=2), cells)
    assert said.endswith('It leads "none" by 18.00, which is within the seeds\' spread (20.00).')
    assert shlex.split(steps[1][1])[3:] == [
        "--flagfile=my runs/grid/flags.txt", "--ablate=none", "--recipe=joint", "--output_dir=my runs/grid-best",
    ]  # fmt: skip
    assert shlex.split(steps[2][1])[-1] == "--seeds=4"


def test_without_distillation_may_be_best():
    cells = [cell("joint", 20, alone={"recipe": "joint"}), cell("none", 40, "baseline"), cell("soft", 30)]
    said, steps = grid_verdict(job(), cells)
    assert said.startswith(
        'The best arm on dev is "none", with accuracy 80.00. It leads "soft" by 20.00, which is more'
    )
    assert said.count("It leads") == 1 and "joint" not in said
    assert [step.split()[2] for _, step in steps] == ["kd_keras.export", "kd_keras.train"]


def test_of_one_tagger_nothing_says_what_chance_gives():
    said, _ = grid_verdict(job(tagging=True), [cell("none", 31, "baseline"), cell("joint", 40)])
    assert said.endswith('It leads "none" by 18.00; with one seed, nothing says whether that is chance.')
    _, steps = grid_verdict(job(output_dir=None), [cell("none", 3, "baseline"), cell("joint", 40, alone={"n_iter": 2})])
    assert len(steps) == 2 and "output_dir" not in steps[1][1], "a run names its own folder"
