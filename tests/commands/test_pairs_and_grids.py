"""Pairs, scores, transfer sets and the ablation's grid, from flags to tables, on made-up text."""

from __future__ import annotations

import csv
import json
import re
import shlex

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax
from scipy.stats import pearsonr, spearmanr

SMALL = [
    "--teacher_epochs=1", "--teacher_batch_size=8", "--teacher_learning_rate=1e-2", "--teacher_max_length=24",
    "--student_max_length=6", "--epochs=1", "--batch_size=32", "--learning_rate=0.02", "--embedding_size=8", "--hidden_size=6",
    "--dense_size=8", "--allow_weak_teacher", "--augment=none", "--unlabeled=none",
]  # fmt: skip
SURE = 0.515


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


@pytest.fixture(scope="module")
def files(toy_sentences, tmp_path_factory, write_csv):
    """pairs-train.csv …: a, b, whether they agree in label, a score and a price; single-train.csv …; more.txt."""
    away = tmp_path_factory.mktemp("text")
    for split, count, seed in (("train", 64, 0), ("dev", 24, 5)):
        a, la = toy_sentences(count, seed)
        b, lb = toy_sentences(count, seed + 1)
        order = np.random.default_rng(seed).permutation(count)
        with open(away / f"pairs-{split}.csv", "w", newline="") as f:
            out = csv.writer(f)
            out.writerow(["a", "b", "same", "score", "price"])
            for i, j in enumerate(order):
                same = bool(la[i] == lb[j])
                score = 4 * same + (i % 10) / 10
                out.writerow([a[i], b[j], "yes" if same else "no", score, 50_000 + 1000 * score])
        write_csv(away / f"single-{split}.csv", a, la)
    known = rows_of(away / "single-dev.csv")[0]["text"]
    more = toy_sentences(40, 9)[0]
    with open(away / "more-pairs.csv", "w", newline="") as f:
        csv.writer(f).writerows([("b", "a"), *zip(more[:20], more[20:], strict=True)])
    (away / "more.txt").write_text("\n".join([*more, more[0].upper(), known, "good"]) + "\n")
    return away


@pytest.fixture(scope="module")
def runs(files, bert_folder, run_verb):
    """Runs of train in one process: pairs with augmentation, scores, prices, the grids, stages, unlabeled text."""
    pairs = [f"--train_file={files}/pairs-train.csv", f"--dev_file={files}/pairs-dev.csv"]
    pairs += ["--text_column=a", "--text_b_column=b"]
    single = [f"--train_file={files}/single-train.csv", f"--dev_file={files}/single-dev.csv"]
    shared = ["--task=custom", f"--teacher={bert_folder}", *SMALL]
    cases = {
        "pairs": [
            *pairs,
            "--label_column=same",
            "--augment=all",
            "--n_iter=3",
            "--unlabeled=task",
            "--max_unlabeled=50",
        ],
        "scores": [*pairs, "--label_column=score", "--regression", "--alpha=0.3"],
        "prices": [*pairs, "--label_column=price", "--regression", "--alpha=0.3"],
        "grid": [*single, "--ablate=augmentation", "--n_iter=2", "--seeds=2", "--recipe=joint"],
        "recipes": [
            *single,
            f"--unlabeled_files={files}/more.txt",
            "--ablate=recipes",
            "--transfer_sizes=0,10,all",
            "--distance=kl",
        ],
        "sizes": [
            *single,
            f"--unlabeled_files={files}/more.txt",
            "--ablate=transfer_sizes",
            "--transfer_sizes=0,all",
            "--recipe=hard",
            f"--confidence={SURE}",
        ],
        "staged": [
            *pairs,
            f"--unlabeled_files={files}/more-pairs.csv",
            "--label_column=same",
            "--recipe=staged_unfreeze",
            "--nobaseline",
            "--evals_per_epoch=9",
        ],
        "unlabelled": [*single, f"--unlabeled_files={files}/more.txt", "--nobaseline", "--max_unlabeled=30"],
    }
    got = run_verb("train", *([*shared, *c, f"--output_dir={files / n}"] for n, c in cases.items()), eager=True)
    for name, answer in zip(cases, got, strict=True):
        assert answer["code"] == 0, f"{name}: {answer['err'][-2000:]}"
    return dict(zip(cases, got, strict=True))


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_pair_run_has_a_siamese_student_and_its_transfer_set(files, runs, run_verb):
    found = metrics(files / "pairs")
    assert (
        found["transfer_rows"]["all"] > 60
        and found["transfer_rows"]["unlabeled"] == 50
        and set(found["student"]) >= {"dev", "spread"}
    )
    report = (files / "pairs" / "report.md").read_text()
    assert "siamese" in report and "The two students" in report and "test split" not in report
    alone = (files / "unlabelled" / "report.md").read_text()
    assert "The student learns" in alone and "two students" not in alone
    history = json.loads((files / "pairs" / "history.json").read_text())
    drawn = int(re.search(r"new pairs: (\d+) of 50 are learned from", report)[1])
    rows = {name: h["recipe"][0]["rows"] for name, h in history.items()}
    assert rows["baseline-seed1"] == 64 and rows["distilled-seed1"] == 64 + found["transfer_rows"]["all"] + drawn
    assert metrics(files / "staged")["transfer_rows"] == {"unlabeled": 20}
    steps = {h["epochs"][-1]["step"] for h in history.values()}
    assert len(steps) == 1, "both arms make as many updates"
    (made,) = steps
    assert f"Updates, at most {made:,} " in report and f"no distillation {made}; student, distilled {made}." in report
    assert found["student"]["updates"] == [made] == [found["most_updates"]]
    model, plain = f"--model_dir={files / 'pairs'}", "good film\tbad film\n\t\n"
    one, tabs, missing = run_verb(
        "predict", [model, "good film", "--text_b=bad film"], ([model, "--input=-"], plain), [model, "good film"]
    )
    answers = [json.loads(line) for line in tabs["out"].splitlines()]
    assert json.loads(one["out"]) == answers[0] and answers[0]["text_b"] == "bad film"
    assert set(answers[1]["scores"]) == {"no", "yes"}, "two empty texts get an answer"
    assert missing["code"] == 2 and "--text_b" in missing["err"]


def test_a_regression_reports_correlations(files, runs, run_verb):
    found = metrics(files / "scores")
    assert set(found["references"]) == {"linear"} and found["references"]["linear"]["dev"]["pearson"] > 0
    (answers, evaluated) = (
        run_verb(verb, [f"--model_dir={files / 'scores'}", f"{flag}={files / 'pairs-dev.csv'}"])[0]
        for verb, flag in (("predict", "--input"), ("evaluate", "--data_file"))
    )
    got = [json.loads(line)["score"] for line in answers["out"].splitlines()]
    gold = [float(r["score"]) for r in rows_of(files / "pairs-dev.csv")]
    assert found["student"]["dev"]["pearson"] == pytest.approx(pearsonr(gold, got)[0], abs=1e-3)
    assert found["student"]["dev"]["spearman"] == pytest.approx(spearmanr(gold, got)[0], abs=1e-2)
    assert json.loads(evaluated["out"])["pearson"] == pytest.approx(found["student"]["dev"]["pearson"], abs=1e-6)
    stages = json.loads((files / "scores" / "history.json").read_text())
    parts = [(o["objective"], o["weight"]) for o in stages["distilled-seed1"]["recipe"][0]["objectives"]]
    assert parts == [("score", 0.3), ("mse", 0.7)]
    assert "accuracy" not in stages["distilled-seed1"]["epochs"][0]


def test_the_scale_of_scores_changes_nothing_but_the_scale(files, runs, run_verb):
    asked = (([f"--model_dir={files / name}", f"--input={files / 'pairs-dev.csv'}"]) for name in ("scores", "prices"))
    scores, prices = (
        np.array([json.loads(line)["score"] for line in answer["out"].splitlines()])
        for answer in run_verb("predict", *asked)
    )
    assert scores.std() > 0.01
    np.testing.assert_allclose(prices, 50_000 + 1000 * scores, atol=1000 * 0.02 * scores.std(), rtol=1e-6)
    one, other = (metrics(files / name) for name in ("scores", "prices"))
    for row in ("teacher", "baseline", "student"):
        assert one[row]["dev"]["pearson"] == pytest.approx(other[row]["dev"]["pearson"], abs=2e-3)


def test_the_grid_has_every_arm_at_the_same_cost(files, runs):
    grid = json.loads((files / "grid" / "ablation.json").read_text())
    names = {f"{k}-{r}" for k in ("baseline", "distilled") for r in ("none", "mask", "pos", "ngram", "all")}
    assert set(grid["arms"]) == names and set(grid["made_rows"]) == {"mask", "pos", "ngram", "all"}
    stages, steps = {}, set()
    for name in names:
        for seed in (1, 2):
            history = json.loads((files / "grid" / "arms" / f"{name}-seed{seed}" / "history.json").read_text())
            stages[name] = history["recipe"][0]
            steps.add(history["epochs"][-1]["step"])
    assert steps == {grid["updates"]}
    report = (files / "grid" / "report.md").read_text()
    assert f"at most {grid['updates']:,} updates" in report and "Distilled arms follow the recipe joint" in report
    for rules in ("mask", "pos", "ngram", "all"):
        assert (
            stages[f"baseline-{rules}"]["rows"] == stages[f"distilled-{rules}"]["rows"] == 64 + grid["made_rows"][rules]
        )
    for name in names:
        parts = ["hard"] if "baseline" in name else ["mse", "hard", "representation"]
        assert [o["objective"] for o in stages[name]["objectives"]] == parts
    table = [[c.strip() for c in row.strip("|").split("|")] for row in runs["grid"]["out"].splitlines() if "|" in row]
    for row, rules in zip(table[2:], ("none", "mask", "pos", "ngram", "all"), strict=True):
        for cell, kind in zip(row[2:4], ("baseline", "distilled"), strict=True):
            each = [100 * e["accuracy"] for e in grid["arms"][f"{kind}-{rules}"]["per_seed"]["dev"]]
            assert cell == f"{np.mean(each):.2f} ± {np.std(each, ddof=1):.2f}"
    assert (files / "grid" / "plots" / "ablation.png").read_bytes()[:4] == b"\x89PNG"


def test_a_grid_begins_with_its_best_arm_and_what_to_do_next(files, runs, run_verb):
    for name in ("grid", "recipes", "sizes"):
        grid = json.loads((files / name / "ablation.json").read_text())
        report, screen = (files / name / "report.md").read_text(), runs[name]["out"]
        best = 100 * max(arm["dev"]["accuracy"] for arm in grid["arms"].values())
        assert grid["verdict"].startswith("The best arm on dev is ") and f"accuracy {best:.2f}. It " in grid["verdict"]
        assert screen.strip().startswith(grid["verdict"]) and screen.index("next:") < screen.index("| ")
        assert report.index(grid["verdict"]) < report.index("## Next") < report.index("## Scores") < report.index("| ")
        for _, command in grid["next"]:
            assert command in report and command in screen
        verb, *flags = shlex.split(grid["next"][0][1])[2:]
        assert verb == "kd_keras.export" and (files / name / "arms" / flags[1].partition("=")[2]).is_dir()
    *_, (_, command) = json.loads((files / "recipes" / "ablation.json").read_text())["next"]
    (again,) = run_verb("train", [*shlex.split(command)[3:], "--print_recipe"])
    assert again["code"] == 0, "the flags fit together"


def test_the_grid_of_recipes_has_every_recipe_at_every_size(files, runs):
    folder = files / "recipes"
    grid = json.loads((folder / "ablation.json").read_text())
    more = grid["transfer_rows"]["unlabeled"]
    recipes = ("soft", "hard", "joint", "two_stage", "two_stage_unfreeze", "staged", "staged_unfreeze")
    assert grid["transfer_sizes"] == [0, 10, more]
    assert set(grid["arms"]) == {"baseline-0"} | {f"{r}-{size}" for r in recipes for size in (0, 10, more)}
    for size in (0, 10, more):
        history = json.loads((folder / "arms" / f"joint-{size}-seed1" / "history.json").read_text())
        (stage,) = history["recipe"]
        assert stage["rows"] == 64 + size
        assert [o["objective"] for o in stage["objectives"]] == ["mse", "hard", "representation"]
        assert (stage["objectives"][2]["distance"], stage["objectives"][2]["activation"]) == ("kl", "gelu")
    text = runs["recipes"]["out"]
    value = grid["arms"][f"staged-{more}"]["dev"]["accuracy"]
    (line,) = [row for row in text.splitlines() if row.startswith("| staged  ")]
    assert [c.strip() for c in line.strip("|").split("|")][5] == f"{100 * value:.2f}"
    assert (folder / "plots" / "ablation.png").read_bytes()[:4] == b"\x89PNG"
    assert not list((folder / "arms").rglob("*.npz")), "checkpoints of finished students are gone"


def test_sizes_of_one_recipe_are_a_grid_of_their_own(files, runs):
    grid = json.loads((files / "sizes" / "ablation.json").read_text())
    more = grid["transfer_rows"]["unlabeled"]
    assert set(grid["arms"]) == {"baseline-0", "hard-0", f"hard-{more}"} and set(grid["recipes"]) == {"hard"}
    assert "hard (teacher's labels)" in runs["sizes"]["out"] and "staged" not in runs["sizes"]["out"]


def test_rows_as_sure_as_confidence_are_counted(files, runs, run_verb):
    grid = json.loads((files / "sizes" / "ablation.json").read_text())
    more = grid["transfer_rows"]["unlabeled"]
    shards = [p for name in ("train", "unlabeled") for p in (files / "sizes" / "signals" / name).glob("*.parquet")]
    logits = np.concatenate([np.array(pq.read_table(p)["logits"].to_pylist()) for p in shards])
    surest = softmax(logits, axis=1).max(axis=1)
    count = int((surest >= SURE).sum())
    assert 0 < count <= len(logits) == 64 + more
    assert any(f"{count} of {len(logits)} rows" in note for note in grid["notes"])
    run = files / "sizes"
    again = [f"--flagfile={run / 'flags.txt'}", "--confidence=0.999", f"--output_dir={files / 'too-sure'}"]
    (refused,) = run_verb("train", [*again, f"--teacher={run / 'teacher'}", f"--signals={run / 'signals'}"])
    assert refused["code"] == 2 and f" is {surest.max():.4f}; use a lower value" in refused["err"]


def test_stages_of_a_pair_run_are_in_its_history(files, runs, run_verb):
    history = json.loads((files / "staged" / "history.json").read_text())["distilled-seed1"]
    assert [s["name"] for s in history["recipe"]] == [s["stage"] for s in history["stages"]]
    assert [s["name"].split(",")[0] for s in history["recipe"]] == 3 * ["representation"] + 3 * ["logits"] + 3 * [
        "labels"
    ]
    assert "dev_loss" in history["epochs"][0] and "dev_accuracy" in history["epochs"][-1]
    assert (
        "follows the recipe staged_unfreeze (representation, projection → " in (files / "staged/report.md").read_text()
    )
    manifest = json.loads((files / "staged" / "signals" / "train" / "manifest.json").read_text())
    assert manifest["hidden"]["pooling"] == "cls"
    (printed,) = run_verb("train", ["--task=mrpc", "--recipe=staged_unfreeze", "--print_recipe"])
    lines = printed["out"].strip().splitlines()
    assert printed["code"] == 0 and len(lines) == 9 and lines[0].startswith("1. representation, projection: ")


def test_unlabelled_text_is_read_once_and_apart_from_dev(files, runs):
    import pyarrow.parquet as pq

    texts = pq.read_table(files / "unlabelled" / "transfer" / "unlabeled.parquet")["text"].to_pylist()
    dev = {r["text"] for r in rows_of(files / "single-dev.csv")}
    train = {r["text"] for r in rows_of(files / "single-train.csv")}
    assert 0 < len(texts) <= 30 and len({t.lower() for t in texts}) == len(texts)
    assert not set(texts) & (dev | train) and "good" not in texts
    history = json.loads((files / "unlabelled" / "history.json").read_text())
    assert history["distilled-seed1"]["recipe"][0]["rows"] == 64 + len(texts)
    assert f", unlabeled {len(texts)}" in (files / "unlabelled" / "report.md").read_text()
