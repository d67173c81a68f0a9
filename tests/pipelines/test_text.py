"""Workers that make transfer text, without a cluster."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from kd_keras.augment import unlabeled as module
from kd_keras.augment.parts import alone
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.unlabeled import UnlabeledText, read_unlabeled
from kd_keras.common.errors import UserError
from kd_keras.pipelines import text as on_ray
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.pipelines.text import Order, TextMaker, text_crew
from kd_keras.tasks import Rows, Task

TASK = Task("toy", "single", ("neg", "pos"))
RAY = ClusterSettings(cluster="ray", cluster_workers=2)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """The bytes of the transfer set that a crew makes of 40 documents, 4 a part."""
    monkeypatch.setattr(module, "_DOCUMENTS", 4)
    lines = [f"sentence number {n % 23} it is" for n in range(40)]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    text = UnlabeledText(TASK, UnlabeledSettings(unlabeled_files=f"{tmp_path}/text.txt", max_unlabeled=15))
    known = Rows(["a"], ["Sentence number 3 it is!"], None, np.zeros(1, np.int32))

    def make(name, crew):
        path = tmp_path / name / "unlabeled.parquet"
        read_unlabeled(text, [known], [], path, {"n": 1}, crew)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        return path.read_bytes()

    return make


@pytest.fixture
def asked(monkeypatch):
    """(order, jobs) that the cluster was asked for; two workers of this process do them, the later ones first."""
    found = []

    def work(cluster, worker, order, jobs):
        found.append((order, jobs := list(jobs)))
        crew = [worker(order), worker(order)]
        for one in crew:
            one.open()
        for job in reversed(jobs):
            yield crew[job.number % 2].do(job)

    monkeypatch.setattr(on_ray, "work", work)
    return found


def test_workers_make_the_bytes_that_one_process_makes(read, asked):
    want = read("alone", alone)
    assert read("here", text_crew(ClusterSettings())) == want and not asked
    assert read("ray", text_crew(RAY)) == want
    assert [job.number for job in asked[0][1]] == list(range(10))


def test_a_few_parts_are_made_here(read, asked, monkeypatch):
    monkeypatch.setattr(on_ray, "_FEW", 11)
    assert read("ray", text_crew(RAY)) == read("alone", alone) and not asked


def test_a_worker_of_something_else_is_refused(read, tmp_path, monkeypatch):
    orders = []

    def work(cluster, worker, order, jobs):
        cases = {
            "has kd_keras 0.1.0, but the command that asks has 9.9": replace(order, version="9.9"),
            "sees no .*nowhere; give a folder": replace(order, folder=str(tmp_path / "nowhere")),
            "sees no .*unlabeled.parts; give a folder": replace(order, key={"n": 2}),
        }
        for said, other in cases.items():
            with pytest.raises(UserError, match=f"^[^ ]+: {said}"):
                worker(other).open()
        worker(order).open()
        orders.append(order)
        yield from map(partial(_do, worker(order)), jobs)

    monkeypatch.setattr(on_ray, "work", work)
    assert read("ray", text_crew(RAY)) == read("alone", alone) and isinstance(orders[0], Order)


def _do(worker: TextMaker, job):
    worker.open()
    return worker.do(job)
