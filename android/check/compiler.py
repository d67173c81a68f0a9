"""Finds a Kotlin compiler for the JVM: KD_KERAS_KOTLINC, kotlinc on the PATH, or the one in a package of PyPI."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# Where `make kotlin-check` puts the packages of requirements-kotlin.txt.
JARS = Path(__file__).resolve().parents[1] / "kotlin" / "run_kotlin_kernel" / "jars"
_QUICK = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def command() -> list[str]:
    """The compiler. Empty if there is none."""
    named = os.environ.get("KD_KERAS_KOTLINC") or shutil.which("kotlinc")
    if named:
        return [named, "-include-runtime"]
    if not _library() or not shutil.which("java"):
        return []
    packaged = ["java", *_QUICK, "-cp", f"{JARS}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    return [*packaged, "-no-stdlib", "-no-reflect", "-cp", str(_library())]


def _library() -> Path | None:
    return next(iter(sorted(JARS.glob("kotlin-stdlib-[0-9]*.jar"))), None)


def compile_files(files: list[Path], jar: Path) -> str:
    """Makes ``jar`` of Kotlin files. Folders of Java are only looked up. Returns the compiler's errors."""
    done = subprocess.run([*command(), "-d", str(jar), *map(str, files)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr or "the compiler failed and says nothing"


def run(jar: Path, main: str, *words: str) -> None:
    """Runs a class of ``jar``. Raises CalledProcessError if it fails."""
    library = [] if "-include-runtime" in command() else [str(_library())]
    path = os.pathsep.join([str(jar), *library])
    subprocess.run(["java", *_QUICK, "-cp", path, main, *words], check=True)
