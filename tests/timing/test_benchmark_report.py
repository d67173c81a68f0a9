"""Tables, sentences and the plot, of a report that was made up."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kd_keras.timing import report as pages
from kd_keras.timing.plot import front, pareto, score_range

LENGTHS = (8, 32, None)


def model(name, who, form, precision, size, accuracy, ms):
    latency = [
        {
            "length": n,
            "threads": t,
            "p50": ms * (n or 20) / 32 / t,
            "p90": 2 * ms,
            "p99": 3 * ms,
            "mean": ms,
            "calls": 50,
        }
        for t in (1, 2)
        for n in LENGTHS
    ]
    return {
        "name": name, "who": who, "form": form, "precision": precision, "length": None, "bytes": size,
        "metrics": {"accuracy": accuracy}, "cut": 0, "load_ms": 1.5, "first_ms": 2.0, "peak_mb": 60.0, "model_mb": 7.2,
        "latency": latency,
    }  # fmt: skip


@pytest.fixture
def report():
    ratios = [
        {"fast": "tflite_dynamic", "slow": "teacher_dynamic", "length": n, "threads": t, "median": 21.34, "min": 19.96,
         "max": 22.04, "rounds": 10}
        for t in (1, 2) for n in LENGTHS
    ]  # fmt: skip
    fed = [
        {"model": "tflite_dynamic", "length": 32, "threads": 1, "fed": f, "p50": 0.25, "p90": 0.3, "p99": 0.4, "mean": 0.3,
         "calls": 50, "of_real": {"median": 1.0, "min": 0.98, "max": 1.03, "rounds": 10}}
        for f in ("real text", "zeros", "random ids")
    ]  # fmt: skip
    return {
        "version": 1, "kd_keras": "0", "task": "toy", "metric": "accuracy", "student": "abc",
        "settings": {"texts": 50, "rounds": 10},
        "machine": {"cpu": "a CPU", "cpus": 2, "system": "Linux", "python": "3", "ai_edge_litert": "2", "load_average": [0.1, 1.2]},
        "text": {"source": "dev split", "rows": 872, "timed": [{"length": n, "different": 50, "joined": 3} for n in LENGTHS]},
        "models": [
            model("keras", "student", "", "float32", 18_000_000, 0.8819, 9.0),
            model("tflite_dynamic", "student", "unrolled", "dynamic", 4_870_000, 0.8807, 0.3),
            model("tflite_loop_float32", "student", "loop", "float32", 18_700_000, 0.8819, 0.6),
            model("teacher_dynamic", "teacher", "unrolled", "dynamic", 23_000_000, 0.8979, 2.4),
        ],
        "made": {}, "ratios": ratios, "inputs": fed,
        "commands": [
            {"model": m, "form": f, "tokens": 32, "exported": "teacher" not in m, "push": f"push {m}", "app": f"app {m}", "binary": f"binary {m}"}
            for m, f in (("tflite_float32", "unrolled"), ("tflite_dynamic", "unrolled"), ("tflite_loop_float32", "loop"),
                         ("teacher_dynamic", "unrolled"))
        ],
    }  # fmt: skip


def cells(table: str, name: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} ")]
    return [c.strip() for c in line.strip("|").split("|")]


def test_the_table(report):
    table = pages.summary(report)
    head = cells(table, "model")
    assert head == [
        "model", "MB", "dev accuracy", "load ms", "memory MB", "8 tokens ms", "32 tokens ms", "own length ms",
        "× teacher, 32 tokens",
    ]  # fmt: skip
    assert cells(table, "tflite_dynamic") == [
        "tflite_dynamic",
        "4.87",
        "88.07",
        "1.5",
        "7",
        "0.07",
        "0.30",
        "0.19",
        "21.3",
    ]
    assert cells(table, "teacher_dynamic")[-1] == "", "nothing is faster than itself"


def test_the_file_to_take_comes_first(report):
    first, _, rest = pages.page(report, "again").partition("\n\n")[2].partition("\n\n")
    assert first == (
        "Take tflite_dynamic, the fastest file within a point of the best dev accuracy: it answers a text as it comes in "
        "0.19 ms (32 tokens: 21.3× as fast as teacher_dynamic), has dev accuracy 88.07 and 4.87 MB."
    )
    assert rest.startswith(
        "## Next\n\n```\n# push it to a phone\npush tflite_dynamic\n# time it there\nbinary tflite_dynamic\n"
        "# or in TensorFlow Lite's app\napp tflite_dynamic\n```"
    )
    lines = pages.screen(report).splitlines()
    assert all(lines.count(f"  {line} tflite_dynamic") == 1 for line in ("push", "binary", "app")), "each line once"
    assert pages.screen(report).splitlines()[:3] == [first, "", "next:"]
    entries = report["models"][1]["latency"]
    own = [e for e in entries if e["length"] is None]
    before = [e["p50"] for e in own]
    for e in own:
        e["p50"] = 1.0  # as the file that is exported, of 64 tokens; what is timed at 32 tokens was made for that
    assert pages.verdict(report).startswith("Take tflite_loop_float32, ")
    for e, p50 in zip(own, before, strict=True):
        e["p50"] = p50
    report["models"][1]["metrics"]["accuracy"] = 0.86
    assert pages.screen(report).startswith("Take tflite_loop_float32, "), "two points are too much"
    report["models"][2]["always"] = "ham"
    assert pages.screen(report).startswith("Take tflite_dynamic, "), "nobody wants what always says the same"
    report["models"][1]["always"] = "ham"
    assert pages.screen(report).startswith("| model ")


def test_another_files_scores_are_not_called_dev(report, tmp_path):
    report["text"]["source"] = "test.csv"
    assert "within a point of the best test.csv accuracy" in pages.verdict(report)
    assert cells(pages.summary(report), "model")[2] == "test.csv accuracy"
    pages.write(report, tmp_path, "COMMAND")
    page = (tmp_path / "benchmark.md").read_text()
    assert "Scores are test.csv accuracy in percent" in page and "dev accuracy" not in page


def test_ratios_name_unit_and_setting(report):
    assert pages.speedups(report) == (
        "tflite_dynamic: 21.3× as fast as teacher_dynamic (20.0 to 22.0 in 10 rounds; p50 of a text, 32 tokens, batch 1, "
        "1 thread)"
    )


def test_the_files(report, tmp_path):
    from kd_keras.common import files

    pages.write(report, tmp_path / "benchmark", "python -m kd_keras.benchmark --model_dir=RUN")
    assert {p.name for p in (tmp_path / "benchmark").iterdir()} == {"benchmark.json", "benchmark.md", "pareto.png"}
    assert files.read_json(tmp_path / "benchmark" / "benchmark.json") == report
    page = (tmp_path / "benchmark" / "benchmark.md").read_text()
    for said in (
        "    python -m kd_keras.benchmark --model_dir=RUN\n", "load average was 0.1 before and 1.2 after", "0.30 / 0.60 / 0.90",
        "32 tokens: 50 different, 3 of several rows", "1.00 (0.98 to 1.03)", "app teacher_dynamic", "(pareto.png)",
        "| tflite_dynamic | teacher_dynamic |       2 |",
    ):  # fmt: skip
        assert said in page, said


def test_a_busy_machine_is_told(report, tmp_path):
    assert pages.noise(report) == ""
    report["machine"]["load_average"] = [1.9, 2.0]
    said = "Other work was running (load average 1.9 on 2 CPUs)"
    assert said in pages.noise(report) and said in pages.page(report, "again")


def test_no_praise_for_a_model_that_always_answers_alike(report):
    assert pages.warnings(report) == "" and "× as fast as" in pages.page(report, "again")
    for m in report["models"]:
        m["always"] = "ham" if m["name"] == "tflite_dynamic" else None
    page = pages.page(report, "again")
    assert "tflite_dynamic: answers 'ham' to every text" in pages.warnings(report) and "answers 'ham' to every" in page
    assert pages.speedups(report) == "" and "× as fast as" not in page


def test_without_a_teacher(report, tmp_path):
    report |= {"models": report["models"][:2], "ratios": []}
    pages.write(report, tmp_path, "again")
    page = (tmp_path / "benchmark.md").read_text()
    assert not (tmp_path / "pareto.png").exists() and "(pareto.png)" not in page
    assert "The teacher was not measured." in page


def test_a_metric_that_is_no_percentage(report):
    for m in report["models"]:
        m["metrics"] = {"pearson": 0.81234}
    report["metric"] = "pearson"
    assert cells(pages.summary(report), "tflite_dynamic")[2] == "0.8123"


def test_the_front_is_what_nothing_beats():
    draw = np.random.default_rng(0)
    points = [(c, int(10 * c**0.5) + n) for c, n in zip(*draw.integers(1, 30, (2, 60)).tolist(), strict=True)]
    points.append(points[0])
    got = {points[i] for i in front(points)}
    want = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)}
    assert got == want and 1 < len(want) < 20
    assert [points[i][0] for i in front(points)] == sorted(points[i][0] for i in front(points))


def test_the_plot_shows_every_model(report):
    models = [
        {
            "name": m["name"],
            "who": m["who"],
            "form": m["form"],
            "precision": m["precision"],
            "score": 88.0 + i,
            "ms": 0.3 + i,
            "mb": 5.0 + i,
        }
        for i, m in enumerate(report["models"][1:])
    ]
    figure = pareto(models, "ms", "dev accuracy, %")
    for ax, cost in zip(figure.axes, ("ms", "mb"), strict=True):
        dots = {(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1}
        assert dots == {(m[cost], m["score"]) for m in models}
        low, high = ax.get_xlim()
        assert all(low < m[cost] < high for m in models)
    said = [t.get_text() for t in figure.legends[0].get_texts()]
    assert said == [
        "student, unrolled",
        "student, any length",
        "teacher",
        "float32",
        "dynamic range",
        "not beaten in both",
    ]


def crowd(scores) -> list[dict]:
    """Eight files of a student and two of a teacher; precisions lie close to each other, as they do."""
    shapes = [("student", form, p) for form in ("unrolled", "loop") for p in ("float32", "float16", "dynamic", "int8")]
    shapes += [("teacher", "unrolled", "float32"), ("teacher", "unrolled", "dynamic")]
    ms = (0.31, 0.32, 0.25, 0.27, 0.62, 0.63, 0.5, 0.52, 7.1, 2.4)
    mb = (18.7, 9.4, 4.87, 4.9, 18.7, 9.4, 4.87, 4.9, 90.4, 23.0)
    return [
        {"name": f"{w if w == 'teacher' else 'tflite'}{'_loop' * (f == 'loop')}_{p}", "who": w, "form": f, "precision": p,
         "score": s, "ms": t, "mb": size}
        for (w, f, p), s, t, size in zip(shapes, scores, ms, mb, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("scores", [
    [88.19, 88.19, 88.07, 87.96] * 2 + [90.0, 89.8], [100.0] * 10, [91.0 + n / 50 for n in range(10)], [50 + 5 * n for n in range(10)],
])  # fmt: skip
def test_every_point_is_named_and_names_keep_apart(scores):
    keep_apart(crowd(scores), pareto(crowd(scores), "ms", "dev accuracy, %"))


def test_so_do_the_names_of_a_family_and_its_rivals():
    sizes = {
        "nano": (0.29, 88.9, 0.1),
        "micro": (0.67, 90.8, 0.15),
        "mobile": (1.9, 92.2, 0.3),
        "large": (6.1, 92.7, 0.9),
    }
    models = [
        {
            "name": f"{name}, {form}",
            "who": "student",
            "form": form,
            "precision": "dynamic",
            "score": s,
            "ms": t,
            "mb": mb,
        }
        for name, (mb, s, t) in sizes.items()
        for form in ("unrolled", "loop")
    ]
    rivals = {"fastText": (7.2, 82.1, 0.03), "static vectors": (5.3, 84.0, 0.02), "BERT of 1 layer": (13.6, 88.1, 1.9),
              "BERT of 2 layers": (15.4, 90.1, 3.4), "minilm-l6 ONNX int8": (23.3, 91.0, 8.8)}  # fmt: skip
    models += [
        {"name": n, "who": "rival", "form": "loop", "precision": "int8", "score": s, "ms": t, "mb": mb}
        for n, (mb, s, t) in rivals.items()
    ]
    figure = pareto(models, "ms", "dev accuracy, %")
    keep_apart(models, figure)
    assert "rival" in [t.get_text() for t in figure.legends[0].get_texts()]
    rival = next(line for line in figure.axes[0].lines if [*line.get_xdata()] == [8.8])
    assert rival.get_marker() not in ("o", "s", "^")


def keep_apart(models, figure) -> None:
    figure.draw_without_rendering()
    for ax, cost in zip(figure.axes, ("ms", "mb"), strict=True):
        notes = [t for t in ax.texts if t.get_text()]
        assert {(t.get_text(), *t.xy) for t in notes} == {(m["name"], m[cost], m["score"]) for m in models}
        boxes, frame = [t.get_window_extent() for t in notes], ax.get_window_extent()
        assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
        assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
        dots = ax.transData.transform([(m[cost], m["score"]) for m in models])
        assert not [b for b in boxes for dot in dots if b.contains(*dot)]
        assert ax.get_xticks().size > 1
        low, high = ax.get_ylim()
        assert (
            high <= 100 + 1e-9
            and high - low >= 4 - 1e-9
            and low <= min(m["score"] for m in models)
            and max(m["score"] for m in models) <= high
        )


def test_the_axis_makes_no_mountain_of_small_differences():
    assert score_range([88.0, 88.2], 100) == pytest.approx((86.1, 90.1))
    assert score_range([0.88, 0.882], 1) == pytest.approx((0.861, 0.901))
    assert score_range([99.9, 100.0], 100) == pytest.approx((96, 100))
    assert score_range([50.0, 90.0], 100) == pytest.approx((45.2, 94.8))
    low, high = score_range([50.0, 99.0], 100)
    assert high == 100 and low < 50


def test_the_report_names_its_points_in_the_metrics_unit(report, monkeypatch):
    given = []
    monkeypatch.setattr("kd_keras.timing.plot.pareto", lambda *a: given.append(a))
    pages._figure(report)
    for m in report["models"]:
        m["metrics"] = {"pearson": 0.81234}
    pages._figure(report | {"metric": "pearson"})
    (percent, _, said, hundred), (fraction, _, plain, one) = given
    assert [p["name"] for p in percent] == ["tflite_dynamic", "tflite_loop_float32", "teacher_dynamic"]
    assert [p["score"] for p in percent] == pytest.approx([88.07, 88.19, 89.79]) and (said, hundred) == (
        "dev accuracy, %",
        100,
    )
    assert {p["score"] for p in fraction} == {0.81234} and (plain, one) == ("dev pearson", 1)
