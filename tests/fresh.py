"""Saved students in a process that has Keras and nothing of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_CODE = """
import sys, json, pathlib, keras, numpy as np
def logits(path, x):
    model = keras.saving.load_model(path, safe_mode=True)
    return model({k: np.array(v, 'int32') for k, v in x.items()})['logits'].numpy().tolist()
folder = pathlib.Path(sys.argv[1])
print(json.dumps({n: logits(folder / f'{n}.keras', x) for n, x in json.load(sys.stdin).items()}))
assert not [m for m in sys.modules if m.startswith('kd_keras')], 'the package was needed'
"""


def assert_answers_alone(run_python, folder: Path, asked: Mapping[str, Mapping], want: Mapping[str, list]) -> None:
    """Each ``folder/<name>.keras`` gives ``want[name]`` for ``asked[name]``. All in one process: starting one takes seconds."""
    questions = {name: {k: np.asarray(v).tolist() for k, v in x.items()} for name, x in asked.items()}
    done = run_python("-c", _CODE, folder, input=json.dumps(questions))
    assert done.returncode == 0, done.stderr[-2000:]
    got = json.loads(done.stdout)
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_allclose(got[name], want[name], atol=1e-6)
