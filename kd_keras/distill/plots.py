"""The report's pictures (matplotlib, no display needed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from kd_keras.common import files
from kd_keras.distill.settings import BASELINE

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BLUE, ORANGE, GREY = "#1f6fb4", "#e07b26", "#777777"
LABELS = {"baseline": "no distillation", "distilled": "distilled"}


def _save(figure: Any, path: Path) -> None:
    with files.atomic_path(path) as temp:
        figure.savefig(temp, dpi=130, bbox_inches="tight")
    plt.close(figure)


def _clean(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def learning_curves(path: Path, curves: list[tuple[str, int, list[dict]]], metric: str) -> None:
    """Dev score, and the training loss of each arm on its own scale.

    Args:
      curves: (kind, seed, [{"epoch", "loss", "dev_<metric>"}, …]) of each student.
    """
    kinds = list(dict.fromkeys(kind for kind, _, _ in curves))
    figure, axes = plt.subplots(1, 1 + len(kinds), figsize=(4.2 * (1 + len(kinds)), 3.4))
    figure.subplots_adjust(wspace=0.32)
    for kind, seed, epochs in curves:
        color = ORANGE if kind == BASELINE else BLUE
        x = [e["epoch"] for e in epochs]
        label = LABELS.get(kind, kind) if seed == curves[0][1] else None
        axes[0].plot(x, [100 * e[f"dev_{metric}"] for e in epochs], color=color, label=label, alpha=0.8)
        axes[1 + kinds.index(kind)].plot(x, [e["loss"] for e in epochs], color=color, alpha=0.8)
    axes[0].set(title=f"dev {metric}, %", xlabel="epoch")
    axes[0].legend(frameon=False, loc="lower right")
    for kind, ax in zip(kinds, axes[1:], strict=True):
        ax.set(title=f"training loss, {LABELS.get(kind, kind)}", xlabel="epoch")
        ax.set_ylim(bottom=0)
    for ax in axes:
        _clean(ax)
    _save(figure, path)


def confusion(path: Path, matrix: np.ndarray, labels: list[str], title: str) -> None:
    """int[gold, predicted] counts, coloured by share of the gold class."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(3.2, 0.62 * len(labels) + 1.4)
    figure, ax = plt.subplots(figsize=(side, side))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    ax.set_xticks(ticks, labels, rotation=45 if len(labels) > 3 else 0, ha="right" if len(labels) > 3 else "center")
    ax.set_yticks(ticks, labels)
    ax.set(xlabel="predicted", ylabel="gold", title=title)
    for i in ticks:
        for j in ticks:
            if matrix[i, j] or len(labels) <= 4:
                dark = share[i, j] > 0.5
                ax.text(j, i, f"{matrix[i, j]}", ha="center", va="center", color="white" if dark else "black")
    _save(figure, path)


def logit_scatter(path: Path, teacher: np.ndarray, student: np.ndarray, label: np.ndarray) -> None:
    """Each logit of each row: the student's against the teacher's, and where they differ in label.

    Two classes are drawn as one margin (logit 1 − logit 0), the only thing that decides.
    """
    figure, ax = plt.subplots(figsize=(4.6, 4.4))
    agree = teacher.argmax(-1) == student.argmax(-1)
    if teacher.shape[1] == 2:
        x, y, same = teacher[:, 1] - teacher[:, 0], student[:, 1] - student[:, 0], agree
        what = "margin, logit 1 − logit 0"
    else:
        x, y, same = teacher.reshape(-1), student.reshape(-1), np.repeat(agree, teacher.shape[1])
        what = "logits"
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--", zorder=1)
    ax.scatter(x[same], y[same], s=7, alpha=0.35, color=BLUE, label="same label", lw=0)
    ax.scatter(x[~same], y[~same], s=9, alpha=0.6, color=ORANGE, label="another label", lw=0)
    r = np.corrcoef(x, y)[0, 1] if np.std(x) > 0 and np.std(y) > 0 else float("nan")
    ax.set(xlabel=f"teacher: {what}", ylabel=f"student: {what}", title=f"dev, r = {r:.3f}")
    ax.legend(frameon=False, loc="upper left", markerscale=2)
    _clean(ax)
    _save(figure, path)
