"""What the report's pictures say, and that it can be read: values, texts, and boxes that keep apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from kd_keras.runs import error_plots, grid_plots, plots
from kd_keras.runs.drawn_names import shortened

HEADS = ("card", "account", "transfer", "refund", "exchange_rate", "beneficiary", "direct_debit", "balance", "top_up")
TAILS = ("not_recognised", "pending_after_a_long_holiday", "declined", "fee_charged_twice", "reverted_unexpectedly",
         "arrival_date_estimate", "lost", "limits")  # fmt: skip
LABELS = [f"{head}_{tail}" for head in HEADS for tail in TAILS]
LABELS += [f"is_my_{label}" for label in LABELS] + [f"why_{label}" for label in LABELS]


def called(classes: int, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gold and predicted labels; classes that are near each other are confused, some more than others."""
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, classes, rows)
    wrong = draw.random(rows) < draw.uniform(0.05, 0.6, classes)[gold]
    return gold, np.where(wrong, (gold + draw.integers(1, 4, rows)) % classes, gold)


def boxes(figure, texts) -> list:
    """Where texts that say anything stand, once drawn, in pixels."""
    figure.draw_without_rendering()
    return [t.get_window_extent() for t in texts if t.get_text() and t.get_visible()]


def overlapping(found: list) -> list:
    return [(a, b) for a, b in combinations(found, 2) if a.shrunk(0.98, 0.98).overlaps(b.shrunk(0.98, 0.98))]


def inside(figure, found: list) -> bool:
    width, height = figure.bbox.size
    return all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in found)


def bars(ax) -> dict[str, float]:
    """What is written beside a bar → its length, from top to bottom."""
    assert ax.yaxis_inverted()
    names = [t.get_text() for t in ax.get_yticklabels()]
    return dict(zip(names, [b.get_width() for b in ax.patches], strict=True))


@pytest.mark.parametrize("classes", [2, 3, 12, 15])
def test_a_few_classes_are_a_matrix(classes):
    labels = LABELS[:classes]
    gold, predicted = called(classes, 4000)
    want = confusion_matrix(gold, predicted)
    figure = error_plots.errors(want, labels, "student")
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == shortened(labels), "in the task's order"
    cells = {tuple(map(int, t.get_position()[::-1])): int(t.get_text()) for t in ax.texts}
    assert cells == {(i, j): n for (i, j), n in np.ndenumerate(want) if n or classes <= 4}
    found = boxes(figure, [*ax.texts, *ax.get_yticklabels(), ax.yaxis.label, ax.xaxis.label, ax.title])
    below = boxes(figure, ax.get_xticklabels())
    assert not overlapping(found) and inside(figure, found + below)
    assert not any(b.overlaps(ax.get_window_extent()) for b in below)
    # Texts at 45° lie beside each other where their lines are further apart than a text is high.
    cell = ax.get_window_extent().width / classes
    assert cell * np.sin(np.pi / 4) > found[0].height


@pytest.mark.parametrize("classes", [16, 40, 41, 77, 150])
def test_many_classes_are_their_worst(classes):
    labels = LABELS[:classes]
    gold, predicted = called(classes, 40 * classes)
    matrix = confusion_matrix(gold, predicted)
    figure = error_plots.errors(matrix, labels, "distilled student, test")
    left, right = figure.axes
    short = shortened(labels)

    counts = {(short[i], short[j]): n for (i, j), n in np.ndenumerate(matrix) if i != j}
    got = {tuple(name.split(" → ")): n for name, n in bars(left).items()}
    assert len(got) == 15 and all(counts[pair] == n for pair, n in got.items())
    assert list(got.values()) == sorted(counts.values(), reverse=True)[:15]
    assert [t.get_text() for t in left.texts] == [f"{n:.0f}" for n in got.values()]
    assert left.get_title() == "15 most confused pairs, gold → predicted"

    f1 = 100 * f1_score(gold, predicted, average=None)
    shown = 20 if classes > 40 else classes
    assert bars(right) == pytest.approx({short[c]: f1[c] for c in np.argsort(f1, kind="stable")[:shown]})
    assert list(bars(right).values()) == sorted(f1)[:shown]
    said = f"the 20 worst of {classes} classes" if classes > 40 else f"{classes} classes, the worst first"
    assert right.get_title() == f"F1, %: {said} (gold rows)"
    assert [t.get_text().split()[1] for t in right.texts] == [
        f"({(gold == short.index(name)).sum()})" for name in bars(right)
    ]

    figure.draw_without_rendering()  # makes the ticks
    texts = [t for ax in figure.axes for t in (*ax.texts, ax.title, ax.xaxis.label, *ax.get_yticklabels())]
    found = boxes(figure, [*texts, *left.get_xticklabels(), *right.get_xticklabels(), figure.texts[0]])
    assert not overlapping(found) and inside(figure, found)


def test_what_is_worst_of_classes_that_nobody_confuses_or_has():
    matrix = np.diag([9] * 20)
    matrix[3, 3] = 0  # neither gold nor predicted
    matrix[5, 6] = 2
    left, right = error_plots.worst(matrix, LABELS[:20], "t").axes
    assert list(bars(left).values()) == [2] and left.get_title() == "all confused pairs, gold → predicted"
    assert len(right.patches) == 19 and np.isnan(error_plots.class_f1(matrix)[3])
    assert list(bars(right))[:2] == shortened(LABELS[:20])[5:7]
    left, right = error_plots.worst(np.diag([9] * 20), LABELS[:20], "t").axes
    assert not left.patches and set(bars(right).values()) == {100}
    assert left.get_title() == "no confused pairs, gold → predicted"


@pytest.mark.parametrize("draw", ["curves", "ablation", "sizes"])
def test_two_tenths_of_a_point_are_no_mountain(draw):
    if draw == "curves":
        epochs = [{"step": n, "loss": 1.0, "dev_accuracy": 0.93 + 0.0005 * n} for n in range(4)]
        figure = plots.learning_curves([("distilled", 1, epochs)], "accuracy", {"teacher": 0.932})
    elif draw == "ablation":
        figure = grid_plots.ablation([("none", [[93.0, 93.1], [93.1, 93.2]])], "accuracy", 93.2)
    else:
        figure = grid_plots.transfer_curves({"soft": [(0, [93.0]), (9, [93.2])]}, [93.1], 93.2, "accuracy")
    low, high = figure.axes[0].get_ylim()
    assert high - low == pytest.approx(4) and low < 93 and high > 93.2


def test_one_round_is_a_dot():
    figure = plots.learning_curves([("distilled", 1, [{"step": 50, "loss": 1.0, "dev_accuracy": 0.9}])], "accuracy")
    assert [ax.lines[0].get_marker() for ax in figure.axes] == ["o", "o"]


def test_each_recipe_has_a_shape_of_its_own():
    curves = {f"recipe {n}": [(0, [90.0 + n])] for n in range(7)}
    lines = grid_plots.transfer_curves(curves, [89.0], 98.0, "accuracy").axes[0].lines[2:]
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 7


def test_dollars_of_a_label_are_no_formula():
    figure = error_plots.errors(np.eye(2, dtype=int), ["$1 to $5", "$\\over$"], "t")
    figure.draw_without_rendering()
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["$1 to $5", "$\\over$"]


def curves(metric: str) -> list:
    epochs = [{"step": 10 * n, "loss": 1 / n, f"dev_{metric}": 0.5 + 0.03 * n} for n in range(1, 9)]
    first = {"step": 5, "loss": 2.0}  # a representation is learned: no dev score
    return [(kind, seed, [first, *epochs]) for kind in ("baseline", "distilled") for seed in (1, 2)]


@pytest.mark.parametrize(("metric", "scale"), [("accuracy", 100), ("macro_f1", 100), ("mcc", 1), ("pearson", 1)])
def test_learning_curves_are_set_beside_lines(metric, scale):
    lines = {"teacher": 0.91, "linear (TF-IDF)": 0.86, "a very long name of what else there may be to see": 0.31}
    figure = plots.learning_curves(curves(metric), metric, lines)
    dev = figure.axes[0]
    assert dev.get_title() == f"dev {metric}" + (", %" if scale == 100 else "")
    flat = {line.get_label(): line for line in dev.lines if line.get_linestyle() != "-"}
    assert {name: line.get_ydata()[0] for name, line in flat.items()} == pytest.approx(
        {name: scale * value for name, value in lines.items()}
    )
    assert len({line.get_linestyle() for line in flat.values()}) == len(lines)
    low, high = dev.get_ylim()
    assert low < scale * 0.31 and scale * 0.91 < high, "lines beyond the curves are seen too"
    drawn = [line for line in dev.lines if line.get_linestyle() == "-"]
    assert len(drawn) == 4 and list(drawn[0].get_ydata()) == pytest.approx(
        [scale * (0.5 + 0.03 * n) for n in range(1, 9)]
    )

    figure.draw_without_rendering()
    (legend,) = figure.legends
    texts = [t.get_text() for t in legend.get_texts()]
    assert texts == shortened(["no distillation", "distilled", *lines], 40)
    box = legend.get_window_extent()
    assert not any(ax.get_tightbbox().overlaps(box) for ax in figure.axes) and inside(figure, [box])


def test_learning_curves_without_lines():
    figure = plots.learning_curves(curves("accuracy")[2:], "accuracy")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["distilled"]
    assert len(figure.axes) == 2 and len(figure.axes[0].lines) == 2


def test_of_many_logits_some_are_drawn(tmp_path):
    draw = np.random.default_rng(0)
    teacher = draw.normal(size=(1000, 77))
    student = teacher + draw.normal(size=teacher.shape)

    def drawn(figure) -> np.ndarray:
        return np.concatenate([np.asarray(c.get_offsets()) for c in figure.axes[0].collections])

    figure = plots.logit_scatter(teacher, student)
    points = drawn(figure)
    assert len(points) == 20_000 and all(c.get_rasterized() for c in figure.axes[0].collections)
    assert {tuple(p) for p in points} <= set(zip(teacher.reshape(-1), student.reshape(-1), strict=True))
    np.testing.assert_array_equal(points, drawn(plots.logit_scatter(teacher, student)))
    r = np.corrcoef(teacher.reshape(-1), student.reshape(-1))[0, 1]
    assert figure.axes[0].get_title() == f"dev, r = {r:.3f}\n20,000 of 77,000 points", "r is that of all"
    plots.save(figure, tmp_path / "logits.png")
    assert (tmp_path / "logits.png").stat().st_size < 200_000
    assert len(drawn(plots.logit_scatter(teacher[:100], student[:100]))) == 7700
    assert len(drawn(plots.logit_scatter(teacher[:, :2], student[:, :2]))) == 1000, "margins"


def test_the_margin_of_two_classes_names_them():
    logits = np.random.default_rng(0).normal(size=(9, 2))
    ax = plots.logit_scatter(logits, logits, labels=("ham", "$spam$ of every kind")).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "teacher: logit of $spam$… kind − logit of ham", "student: logit of $spam$… kind − logit of ham",
    )  # fmt: skip
    ax.figure.draw_without_rendering()
    assert ax.xaxis.label.get_parse_math() is False and len(ax.collections[0].get_offsets()) == 9


@pytest.mark.parametrize("regression", [False, True])
def test_the_report_draws_the_teachers_dev_score(tmp_path, monkeypatch, regression):
    """Rows without a gold label count nowhere; many classes come through."""
    from types import SimpleNamespace as Made

    from kd_keras.runs import report
    from kd_keras.tasks import Rows

    draw = np.random.default_rng(0)
    if regression:
        labels, label = (), draw.normal(size=60)
        teacher = label[:, None] + draw.normal(size=(60, 1))
        label[::7] = np.nan
        has = np.isfinite(label)
        metric, want = "pearson", np.corrcoef(label[has], teacher[has, 0])[0, 1]
    else:
        labels, label = tuple(LABELS[:20]), draw.integers(0, 20, 60).astype(np.int32)
        teacher = draw.normal(size=(60, 20)) + 2 * np.eye(20)[label]
        label[::7] = -1
        metric, want = "accuracy", np.mean(teacher.argmax(-1)[label >= 0] == label[label >= 0])
    rows = Rows([f"dev-{n}" for n in range(60)], ["text"] * 60, None, label)
    student = teacher + draw.normal(size=teacher.shape)
    arms = [
        Made(kind=k, seed=s, name=f"{k}-seed{s}", history={"epochs": e}, logits={"dev": student})
        for k, s, e in curves(metric)
    ]
    linear = Made(logits={} if regression else {"linear": {"dev": 2 * np.eye(20)[np.maximum(label, 0)]}})
    made = {}
    monkeypatch.setattr(plots, "save", lambda figure, path: made.update({path.name: figure}))
    report._draw(
        Made(task=Made(metric=metric, is_regression=regression, is_multilabel=False, is_tagging=False, labels=labels),
             layout=Made(plots=tmp_path)),
        Made(splits={"dev": rows}, signals={"dev": Made(logits=teacher)}, references=linear), arms, arms[-1],
            {"teacher": {"dev": {metric: want}}},
    )  # fmt: skip
    assert set(made) == {"learning_curves.png", "errors.png", "logits.png"}
    (line,) = [line for line in made["learning_curves.png"].axes[0].lines if line.get_label() == "teacher"]
    assert line.get_ydata()[0] == pytest.approx(want * (1 if regression else 100))
    floors = [line for line in made["learning_curves.png"].axes[0].lines if line.get_label() == "linear (TF-IDF)"]
    assert [line.get_ydata()[0] for line in floors] == ([] if regression else [100])
    title = made["errors.png"].axes[0].get_title() + (made["errors.png"].get_suptitle() or "")
    assert arms[-1].name in title
    assert len(made["errors.png"].axes) == (1 if regression else 2)
