"""The notebooks: clean as committed, and executed whole, the one that trains in tiny mode."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DISTIL, SEARCH = (ROOT / "notebooks" / f"{name}.ipynb" for name in ("distil_in_keras", "search_by_meaning"))
LOGS = {"accuracy", "loss", "val_accuracy", "val_loss"}
PARTS = {"loss_hard", "loss_mse", "val_loss_hard", "val_loss_mse"}


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs: a kernel of this very Python, an empty working folder, no way to a network."""
    notebook = nbformat.read(path, as_version=4)
    # Without folders to search, "python3" can only be the running environment's own ipykernel.
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KD_KERAS_", "MPLBACKEND"))}
    nowhere = "http://127.0.0.1:9"
    environment = kept | {
        "KD_KERAS_NOTEBOOK_TINY": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "IPYTHONDIR": str(folder / "ipython"),
        "HF_HUB_OFFLINE": "1",
        "http_proxy": nowhere,
        "https_proxy": nowhere,
    }
    work = folder / "work"
    work.mkdir()
    client = NotebookClient(notebook, timeout=300, km=manager, resources={"metadata": {"path": str(work)}})
    client.execute(env=environment)
    assert not list(work.iterdir()), "the notebook leaves files in the folder it runs in"
    return notebook


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    return execute(DISTIL, tmp_path_factory.mktemp("notebook"))


def outputs(notebook: nbformat.NotebookNode, kind: str) -> list[nbformat.NotebookNode]:
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    return [o for c in cells for o in c.outputs if o.output_type == kind]


def summary_of(notebook: nbformat.NotebookNode) -> dict:
    last = [o.text for o in notebook.cells[-1].outputs if o.output_type == "stream" and o.name == "stdout"]
    return json.loads("".join(last))


def test_it_runs_to_its_summary(executed: nbformat.NotebookNode) -> None:
    summary = summary_of(executed)
    assert summary["reloaded_equal"] is True
    assert summary["live_equal"] is True
    assert set(summary["history"]) == LOGS | PARTS
    assert set(summary["baseline_history"]) == LOGS
    # The made-up sentences can be learned whole: less means that something in the chain is broken.
    assert summary["accuracy"]["teacher"] >= 0.9
    assert summary["accuracy"]["distilled student"] >= 0.9


def test_it_shows_its_plots(executed: nbformat.NotebookNode) -> None:
    assert sum("image/png" in o.data for o in outputs(executed, "display_data")) == 2


def test_keras_has_nothing_to_complain_of(executed: nbformat.NotebookNode) -> None:
    text = "".join(o.text for o in outputs(executed, "stream") if o.name == "stderr")
    assert not re.findall(r".*keras.*Warning.*", text)


def test_the_shipped_student_finds_by_meaning_what_words_do_not(tmp_path: Path) -> None:
    notebook = execute(SEARCH, tmp_path)
    summary = summary_of(notebook)
    assert summary["right_by_meaning"] > summary["right_by_words"] + 0.5
    assert summary["int8_agreement"] > 0.9 and abs(summary["length"] - 1) < 1e-3
    assert summary["tensorflow_imported"] is False
    assert sum("image/png" in o.data for o in outputs(notebook, "display_data")) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    text = "\n".join(c.source for c in notebook.cells)
    assert not re.findall(r"(?:^|[\s\"'`(=])(?:/\w|~/|[A-Za-z]:\\)\S*", text)
