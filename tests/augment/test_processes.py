"""Parts that several processes make."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from kd_keras.augment.parts import Made, Parts
from kd_keras.augment.processes import Processes
from kd_keras.common.errors import UserError


def opened(what):
    """A maker whose rows are who made them; of ``what`` it ends its process, or raises."""

    def make(items):
        if items[0] == what:
            os._exit(9)
        if -items[0] == what:
            raise UserError("nothing to make of")
        digests = np.array(items, np.uint64)
        return Made(pa.table({"by": [os.getpid()] * len(items)}), digests, np.arange(len(items)), Counter())

    return make


@pytest.fixture
def parts(tmp_path):
    made = Parts(tmp_path)
    made.begin({})
    return made


def fill(parts, count, what=0, batches=12):
    done = []
    there = parts.fill(
        partial(opened, what), ([n, n + 1000] for n in range(1, batches + 1)), Processes(count), done.append
    )
    assert there == batches and sum(done) == 2 * batches and not multiprocessing.active_children()
    return [pid for rows, _ in parts.rows(parts.sift(there)) for pid in rows["by"].to_pylist()]


def test_other_processes_make_them(parts):
    by = fill(parts, 2)
    assert len(by) == 24 and os.getpid() not in by and len(set(by)) <= 2


@pytest.mark.parametrize(("count", "batches"), [(1, 12), (2, 3)])
def test_one_process_or_a_few_parts_need_no_other(parts, count, batches):
    assert set(fill(parts, count, batches=batches)) == {os.getpid()}


def test_one_process_reads_no_further_than_it_makes(parts):
    asked, done = [], []
    batches = (asked.append(n) or [n] for n in range(1, 9))
    parts.fill(partial(opened, 0), batches, Processes(1), lambda n: done.append(len(asked)))
    assert done == [*range(1, 9)]


def test_what_a_process_raises_ends_the_others(parts):
    with pytest.raises(UserError, match="nothing to make of"):
        fill(parts, 2, what=-5, batches=1000)
    assert not multiprocessing.active_children() and not parts.has(999)


def test_a_killed_process_is_one_line(parts):
    with pytest.raises(UserError, match="--augment_workers=2: a process was killed, .* the same command goes on"):
        fill(parts, 2, what=5)
    assert len(fill(parts, 2)) == 24
