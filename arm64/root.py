"""A folder with arm64 Debian's Python and LiteRT, and qemu to run it: made once, kept beside this file.

Packages are unpacked, never configured, and wheels are chosen by their names: nothing is emulated until the check
itself, and the kernel need not know of qemu (binfmt_misc), which it does not in most containers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say

HERE = Path(__file__).resolve().parent
ROOT = HERE / "root"
REQUIREMENTS = HERE / "requirements.txt"
# Its Python is one that the project runs on; its glibc, 2.36, says which wheels run.
SUITE, PYTHON, GLIBC = "bookworm", "3.11", 36
PACKAGES = f"python{PYTHON},libstdc++6"
SITE = "opt/site-packages"
QEMU = "qemu-aarch64-static"  # the static one: inside the root there are no libraries of this machine's
CPU = "cortex-a72"
NEEDS = {"debootstrap": "debootstrap", "dpkg-deb": "dpkg", QEMU: "qemu-user-static"}
_TAIL = 5


def command(name: str) -> str | None:
    """Where a program is; a user's PATH may lack the folders of debootstrap and chroot."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def require_tools() -> None:
    """UserError in one line where the machine lacks something."""
    missing = [name for name in NEEDS if not command(name)]
    if missing:
        packages = " ".join(NEEDS[name] for name in missing)
        raise UserError(f"no {', '.join(missing)} on this machine; on Debian and Ubuntu: apt-get install {packages}")
    if os.geteuid() != 0:
        raise UserError("only root may make and enter the arm64 root; run the same with sudo")


def mirror() -> list[str]:
    """Where apt gets Debian's packages on this machine; [] leaves it to debootstrap."""
    apt = command("apt-get")
    if apt is None:
        return []
    asked = [apt, "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)"]
    found = subprocess.run(asked, capture_output=True, text=True).stdout
    repositories = [line.split() for line in found.splitlines()]
    return [r[2] for r in repositories if len(r) == 3 and r[:2] == ["Debian", SUITE]][:1]


def ready() -> Path:
    """The root, made where there is none or it was made from other versions. Who comes second waits."""
    key = files.hash_of(SUITE, PACKAGES, REQUIREMENTS.read_text(encoding="utf-8"))
    stamp = ROOT / "made-from.txt"
    with open(f"{ROOT}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.is_file() and stamp.read_text() == key):
            say(f"making {HERE.name}/{ROOT.name}/: Debian {SUITE} and LiteRT for arm64; minutes, once")
            for old in (*HERE.glob(f"{ROOT.name}.tmp-*"), ROOT):
                shutil.rmtree(old, ignore_errors=True)
            # Only a whole root gets its name. The temporary one is new, as a killed debootstrap may write for a while.
            temp = Path(tempfile.mkdtemp(dir=HERE, prefix=f"{ROOT.name}.tmp-"))
            make(temp)
            (temp / stamp.name).write_text(key)
            temp.rename(ROOT)
    return ROOT


def make(folder: Path) -> None:
    """Downloads and unpacks everything."""
    debs, wheels = folder / "downloads" / "debs", folder / "downloads" / "wheels"
    debs.mkdir(parents=True)
    what = ["--arch=arm64", "--variant=minbase", f"--include={PACKAGES}", "--download-only"]
    run([command("debootstrap"), *what, SUITE, debs, *mirror()])
    for package in sorted(debs.glob("var/cache/apt/archives/*.deb")):
        run([command("dpkg-deb"), "-x", package, folder])

    platforms = [f"--platform=manylinux_2_{n}_aarch64" for n in range(17, GLIBC + 1)]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *platforms]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", *target]
    run([*pip, "-r", REQUIREMENTS, "-d", wheels])
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as z:
            z.extractall(folder / SITE)
    shutil.rmtree(folder / "downloads")


def run(arguments: list) -> None:
    """Runs a command quietly; UserError with the end of what it said where it fails."""
    done = subprocess.run([*map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        said = " / ".join(done.stdout.strip().splitlines()[-_TAIL:])
        raise UserError(f"{Path(arguments[0]).name} failed ({done.returncode}): {said}")


def run_python(root: Path, work: str, code: str) -> None:
    """Runs Python code in the root, in its folder ``work``, whose modules it can import."""
    shutil.copy(command(QEMU), root / work / "qemu")
    environment = ["-E", f"PYTHONPATH=/{work}:/{SITE}", "-E", "PYTHONDONTWRITEBYTECODE=1"]
    emulated = [f"/{work}/qemu", "-cpu", CPU, *environment, f"/usr/bin/python{PYTHON}", "-c", code]
    run([command("chroot"), root, *emulated])
