"""How far the losses of two workers are from those of one process: 200 updates of a student, 50 of a teacher.

    python benchmarks/workers_equal.py

Each update is clipped, and the last batch of an epoch has one row. tests/pipelines/trained_together.py trains.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kd_keras.pipelines.call import free_ports

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tests/pipelines/trained_together.py"


def losses(count: int, folder: Path) -> dict:
    """Who learned → what was measured, by the first of so many processes."""
    places, started = [f"127.0.0.1:{port}" for port in free_ports(count)], []
    for rank in range(count):
        config = {"cluster": {"worker": places}, "task": {"type": "worker", "index": rank}}
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        environment |= {"TF_CONFIG": json.dumps(config)} if count > 1 else {}
        command = [sys.executable, str(SCRIPT), str(folder), "student", "teacher"]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
    if any([process.wait() for process in started]):
        sys.exit(f"{SCRIPT} failed with {count} processes")
    return json.loads((folder / "result-0.json").read_text())


def main() -> None:
    found = {}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            found[count] = losses(count, Path(folder))
    print(f"python {' '.join(sys.argv)}\n")
    print("| who | updates | loss, first and last | largest difference of an update |\n| --- | ---: | ---: | ---: |")
    for who in ("student", "teacher"):
        one, two = (found[count][who]["loss"] for count in (1, 2))
        most = max(abs(a - b) for a, b in zip(one, two, strict=True))
        print(f"| {who} | {len(one)} | {one[0]:.4f}, {one[-1]:.4f} | {most:.1e} |")


if __name__ == "__main__":
    main()
