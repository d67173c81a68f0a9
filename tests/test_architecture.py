"""The order of the folders, and the rules that keep two Kerases and many commands apart, by source.

Nothing is imported: every module of the package is parsed, so imports inside functions count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "kd_keras"

# A folder imports only itself and folders to its left; verbs import any of them.
ORDER = ("common", "text", "tasks", "augment", "metrics", "teachers", "pipelines", "students", "distill", "runs", "compression",
         "formats", "deploy", "timing")  # fmt: skip
FLAG_READERS = ("common/config.py", "common/cli.py")
TF_KERAS = ("teachers/", "compression/")
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
VERB_LINES = 130
FILE_LINES = 300
MOST_PARAMETERS = 7


def is_verb(path: str) -> bool:
    """What ``python -m`` runs: ``train.py``, ``tasks/__main__.py``. ``path`` is relative to the package."""
    return path.endswith("__main__.py") or ("/" not in path and path != "__init__.py")


def module_parts(path: str) -> list[str]:
    """``text/vocab.py`` → ``["kd_keras", "text", "vocab"]``; a folder's ``__init__`` is the folder."""
    parts = ["kd_keras", *path.removesuffix(".py").split("/")]
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(tree: ast.AST, path: str) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether a statement names it whole) of everything imported.

    ``from a.b import c`` gives ``a.b`` and ``a.b.c``: c may be a module.
    """
    package = module_parts(path) if path.endswith("__init__.py") else module_parts(path)[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, True
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, base, True
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}", False
        elif isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value), True


def check(path: str, source: str, modules: set[str]) -> list[str]:
    """What is wrong with one module, as ``path:line: …``. ``modules`` is every path of the package."""
    tree = ast.parse(source)
    verb, folder = is_verb(path), path.split("/")[0] if "/" in path else ""
    found: list[str] = []

    def wrong(line: int, what: str) -> None:
        message = f"kd_keras/{path}:{line}: {what}"
        if message not in found:
            found.append(message)

    if folder and folder not in ORDER:
        wrong(1, f"folder {folder} has no place in ORDER")
        return found
    rank = len(ORDER) if verb else ORDER.index(folder) if folder else -1
    verbs = {".".join(module_parts(m)) for m in modules if is_verb(m)}

    tensorflow = {"tf", "tensorflow"}
    for line, name, whole in imported(tree, path):
        top, *rest = name.split(".")
        if top == "kd_keras":
            if name in verbs or rest[:1] == ["__main__"] or rest[-1:] == ["__main__"]:
                wrong(line, f"imports the verb {name}")
            elif rest and rest[0] in ORDER and ORDER.index(rest[0]) > rank:
                wrong(line, f"imports kd_keras.{rest[0]}, which stands to the right of {folder or 'kd_keras'}")
            elif rest and whole and f"{rest[0]}.py" not in modules and rest[0] not in ORDER:
                wrong(line, f"imports {name}, which has no place in ORDER")
        if name == "tensorflow.keras" or name.startswith(("tensorflow.keras.", "tensorflow.python.keras")):
            wrong(line, "tf.keras: use keras, or tf_keras in teachers/")
        if top == "tf_keras" and not path.startswith(TF_KERAS):
            wrong(line, "tf_keras belongs in teachers/ and compression/")
        if top in PICKLERS and whole:
            wrong(line, f"{top}: nothing here is pickled")
        if name == "absl.flags.FLAGS" and not verb and path not in FLAG_READERS:
            wrong(line, "a library reads FLAGS: take a settings object")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tensorflow |= {a.asname for a in node.names if a.name == "tensorflow" and a.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            base = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr == "keras" and base in tensorflow:
                wrong(node.lineno, "tf.keras: use keras, or tf_keras in teachers/")
            if node.attr == "FLAGS" and not verb and path not in FLAG_READERS:
                wrong(node.lineno, "a library reads FLAGS: take a settings object")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            wrong(node.value.lineno, "allow_pickle: nothing here is pickled")

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (many := parameters(node)) > MOST_PARAMETERS:
            wrong(node.lineno, f"{node.name} takes {many} parameters; the ceiling is {MOST_PARAMETERS}")
    lines, ceiling = source.count("\n"), VERB_LINES if verb else FILE_LINES
    if lines > ceiling:
        wrong(lines, f"{lines} lines; the ceiling is {ceiling}")
    return found


def parameters(node: ast.FunctionDef) -> int:
    """How many a caller sees; a private function's, other than __init__'s, are nobody's business."""
    if node.name.startswith("_") and node.name != "__init__":
        return 0
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([n for n in names if n not in ("self", "cls")])


def circle(sources: Mapping[str, str]) -> list[str]:
    """Files that import each other in a circle, the first one again at its end; [] where none do."""
    known = {".".join(module_parts(path)): path for path in sources}
    graph = {}
    for path, source in sources.items():
        named = {name for _, name, _ in imported(ast.parse(source), path)}
        # ``from a import b``: where b is a module, a alone is not what is meant.
        named -= {name.rpartition(".")[0] for name in named if name in known}
        graph[path] = {known[name] for name in named if name in known} - {path}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as e:
        return e.args[1]
    return []


def package_sources() -> dict[str, str]:
    files = sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)
    return {p.relative_to(PACKAGE).as_posix(): p.read_text(encoding="utf-8") for p in files}


def test_the_package_keeps_its_rules() -> None:
    sources = package_sources()
    assert "common/layout.py" in sources
    found = [message for path, source in sources.items() for message in check(path, source, set(sources))]
    assert not found, "\n" + "\n".join(found)


def test_no_files_import_each_other_in_a_circle() -> None:
    found = circle(package_sources())
    assert not found, " ← ".join(found)


def test_a_circle_is_caught() -> None:
    inside = "def f():\n    from kd_keras.text import y"
    typed = "if TYPE_CHECKING:\n    from kd_keras.text.z import T"
    sources = {"text/__init__.py": "", "text/x.py": inside, "text/y.py": typed, "text/z.py": "from . import x"}
    assert set(circle(sources)) == {"text/x.py", "text/y.py", "text/z.py"}
    assert circle(sources | {"text/z.py": "import numpy"}) == []
    assert circle({"text/__init__.py": "from kd_keras.text.x import f", "text/x.py": "import kd_keras.text"})


def test_every_folder_is_a_package() -> None:
    # find_packages leaves out a folder without __init__.py, so an installed copy would lack it.
    folders = {p.parent for p in PACKAGE.rglob("*.py")}
    assert [f.name for f in folders if not (f / "__init__.py").is_file()] == []


MODULES = {"__init__.py", "train.py", "tasks/__main__.py"} | {f"{f}/__init__.py" for f in ORDER} | {"text/x.py"}

BAD = [
    ("text/x.py", "from kd_keras.tasks import registry", "right of text"),
    ("text/x.py", "import kd_keras.distill.stages as s", "right of text"),
    ("text/x.py", "def f():\n    from kd_keras import teachers", "right of text"),
    ("text/x.py", "from ..students import bilstm", "right of text"),
    ("text/__init__.py", "from ..students import bilstm", "right of text"),
    ("text/x.py", "from .. import deploy", "right of text"),
    ("text/x.py", "import importlib\nimportlib.import_module('kd_keras.deploy')", "right of text"),
    ("text/x.py", "if TYPE_CHECKING:\n    from kd_keras.metrics import f1", "right of text"),
    ("__init__.py", "from kd_keras.common import errors", "right of kd_keras"),
    ("deploy/x.py", "from kd_keras import train", "imports the verb kd_keras.train"),
    ("deploy/x.py", "from kd_keras.train import main", "imports the verb kd_keras.train"),
    ("tasks/x.py", "from kd_keras.tasks import __main__", "imports the verb"),
    ("train.py", "import kd_keras.tasks.__main__", "imports the verb"),
    ("predict.py", "from kd_keras import train", "imports the verb kd_keras.train"),
    ("text/x.py", "from kd_keras.helpers import f", "no place in ORDER"),
    ("helpers/x.py", "", "no place in ORDER"),
    ("text/x.py", "from absl import flags\nflags.FLAGS.task", "reads FLAGS"),
    ("text/x.py", "from absl.flags import FLAGS", "reads FLAGS"),
    ("train.py", "import tensorflow as tf\ntf.keras.layers", "tf.keras"),
    ("teachers/x.py", "import tensorflow as T\nT.keras.layers", "tf.keras"),
    ("teachers/x.py", "from tensorflow import keras", "tf.keras"),
    ("teachers/x.py", "from tensorflow.keras import layers", "tf.keras"),
    ("students/x.py", "import tf_keras", "belongs in teachers/"),
    ("formats/tflite.py", "def f():\n    from tf_keras import layers", "belongs in teachers/"),
    ("train.py", "import pickle", "pickled"),
    ("text/x.py", "from joblib import dump", "pickled"),
    ("text/x.py", "import numpy as np\nnp.load('f', allow_pickle=True)", "pickled"),
    ("train.py", "\n" * (VERB_LINES + 1), "ceiling"),
    ("tasks/__main__.py", "\n" * (VERB_LINES + 1), "ceiling"),
    ("text/x.py", "\n" * (FILE_LINES + 1), "ceiling"),
    ("text/x.py", "def f(a, b, c, d, e, /, f, *, g, h): ...", "8 parameters"),
    ("text/x.py", "class C:\n    def __init__(self, a, b, c, d, e, f, g, h): ...", "8 parameters"),
]

GOOD = [
    ("deploy/x.py", "from kd_keras.common import files\nfrom kd_keras.formats import tflite\nfrom . import y"),
    ("tasks/__main__.py", "from absl import flags\nfrom kd_keras.tasks import registry\nflags.FLAGS.task"),
    ("train.py", "from kd_keras.formats import tflite\nfrom kd_keras import __version__"),
    ("common/config.py", "from absl import flags\nflags.FLAGS['a'].value"),
    ("teachers/bert.py", "import tf_keras\nfrom tf_keras import layers"),
    ("compression/twin.py", "import tf_keras"),
    ("text/x.py", "class C:\n    def f(self, a, b, c, d, e, f, g): ...\ndef _f(a, b, c, d, e, f, g, h): ..."),
    ("students/x.py", "import keras\nimport tensorflow as tf\ntf.data\nkeras.layers"),
    ("text/x.py", "import numpy as np\nnp.load('f', allow_pickle=False)\n" + "\n" * (FILE_LINES - 2)),
]


@pytest.mark.parametrize(("path", "source", "says"), BAD)
def test_a_breach_is_caught(path: str, source: str, says: str) -> None:
    found = check(path, source, MODULES)
    assert len(found) == 1, found
    assert says in found[0]


@pytest.mark.parametrize(("path", "source"), GOOD)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert check(path, source, MODULES) == []
