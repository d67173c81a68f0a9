"""What a worker does, and what is refused, without a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.pipelines import labelling as on_ray
from kd_keras.pipelines.labelling import Labeller, Order
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.tasks import Rows
from kd_keras.teachers.distinct import ShardText
from kd_keras.teachers.labelling import label, manifest
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import SignalStore
from kd_keras.teachers.tagger import opened

SETTINGS = LabelSettings(hidden="mean", shard_rows=7)


@pytest.fixture(autouse=True)
def tensorflow_as_it_is(monkeypatch):
    """A worker chooses its threads before anything else; this process has begun long ago."""
    monkeypatch.setattr(on_ray, "begin", lambda cpus: None)


@pytest.fixture(scope="module")
def teacher(trained_run):
    return opened(str(trained_run.folder / "teacher"))


@pytest.fixture(scope="module")
def rows(toy_sentences):
    texts = list(dict.fromkeys(toy_sentences(60, 8)[0]))[:20]
    return Rows([f"r{n}" for n in range(len(texts))], texts, None, np.full(len(texts), -1, np.int32))


@pytest.fixture
def order(teacher, rows, trained_run, tmp_path):
    store = SignalStore(tmp_path / "signals")
    store.begin(manifest(teacher, "toy", rows, SETTINGS))
    opens = partial(opened, str(trained_run.folder / "teacher"))
    return Order("0.1.0", opens, {}, SETTINGS, str(store.folder), store.manifest(), 1)


@pytest.fixture
def in_this_process(monkeypatch):
    """Workers of the cluster are called one after the other, and the second opens when the first has done a job."""
    hired = []

    def work(cluster, worker, order, jobs):
        crew = [worker(order) for _ in range(cluster.cluster_workers)]
        for n, job in enumerate(jobs):
            one = crew[n % len(crew)]
            if one.teacher is None:
                hired.append(one.open())
            yield one.do(job)

    monkeypatch.setattr(on_ray, "work", work)
    return hired


def test_workers_make_the_files_that_one_process_makes(teacher, rows, trained_run, tmp_path, in_this_process):
    label(teacher, rows, tmp_path / "here", SETTINGS, "toy", "text")
    cluster = ClusterSettings(cluster="ray", cluster_workers=2)
    away = opened(str(trained_run.folder / "teacher"))
    away.crew = on_ray.on_cluster(cluster, partial(opened, str(trained_run.folder / "teacher")))
    found = label(away, rows, tmp_path / "there", SETTINGS, "toy", "text")
    assert len(in_this_process) == 2 and len(found.logits) == len(rows)
    made = {p.name: p.read_bytes() for p in (tmp_path / "there").iterdir()}
    assert made == {p.name: p.read_bytes() for p in (tmp_path / "here").iterdir()} and len(made) == 6


def test_what_another_run_has_is_sent_to_the_workers(teacher, rows, trained_run, tmp_path, in_this_process):
    label(teacher, rows.take(np.arange(0, len(rows), 2)), tmp_path / "before", SETTINGS, "toy", "text")
    here = label(teacher, rows, tmp_path / "here", SETTINGS, "toy", "text", [tmp_path / "before"])
    away = opened(str(trained_run.folder / "teacher"))
    cluster = ClusterSettings(cluster="ray", cluster_workers=2)
    away.crew = on_ray.on_cluster(cluster, partial(opened, str(trained_run.folder / "teacher")))
    there = label(away, rows, tmp_path / "there", SETTINGS, "toy", "text", [tmp_path / "before"])
    assert (here.logits == there.logits).all() and len(in_this_process) == 2


def test_a_shard_that_is_there_is_not_made_again(order, rows):
    worker = Labeller(order)
    worker.open()
    part = ShardText(0, rows.ids[:7], rows.text_hashes()[:7], rows.text[:7])
    assert worker.do(part) == 7
    path = SignalStore(order.folder).shard(0)
    before = path.stat().st_mtime_ns
    assert worker.do(part) == 7 and path.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="shard-00000.parquet: holds other texts"):
        worker.do(replace(part, hashes=part.hashes[::-1]))


def test_what_killed_workers_were_writing_goes(order, rows):
    store = SignalStore(order.folder)
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    with files.atomic_path(store.shard(5)) as alive:
        dead = alive.with_name(alive.name.replace(f"-{os.getpid()}.", f"-{int(ended.stdout)}."))
        dead.touch()
        files.remove_left_behind(store.folder)
        assert alive.exists() and not dead.exists()


def test_a_worker_of_something_else_is_refused(order, tmp_path, make_teacher):
    make_teacher(seed=8).save(tmp_path / "other")
    cases = {
        "has kd_keras 0.1.0, but the command that asks has 9.9; install the same": replace(order, version="9.9"),
        "sees no .*; give a folder that every machine of the cluster sees": replace(
            order, folder=str(tmp_path / "nowhere")
        ),
        "signals from another text or setting": replace(order, manifest=order.manifest | {"rows": 3}),
        "--teacher=.*gone.*config.json": replace(order, opens=partial(opened, str(tmp_path / "gone"))),
    }
    for said, other in cases.items():
        with pytest.raises(UserError, match=f"^[^ ]+: .*{said}"):
            Labeller(other).open()
    moved = order.manifest | {"teacher": order.manifest["teacher"] | {"weights": "0"}}
    with pytest.raises(UserError, match="signals from another teacher"):
        Labeller(replace(order, manifest=moved)).open()


def test_flags():
    assert not ClusterSettings().wanted and ClusterSettings(cluster="ray://10.0.0.7:10001").address
    with pytest.raises(UserError, match=r"--cluster=spark: expected none, ray, or the address of a cluster"):
        ClusterSettings(cluster="spark")


def test_an_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    assert ClusterSettings(cluster="ray").address == "10.0.0.7:6379"
    monkeypatch.delenv("RAY_ADDRESS")
    assert ClusterSettings(cluster="ray").address is None


def test_without_ray_it_is_one_line(monkeypatch, trained_run, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"--cluster=ray: needs ray, which is not installed; pip install 'kd_keras\[ray\]'"
    ):
        ClusterSettings(cluster="ray").check()
    ClusterSettings().check()
