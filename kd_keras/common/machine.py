"""The machine's CPUs and memory, and what this process uses."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_bfloat16() -> bool:
    """Whether the processor can multiply bfloat16 (AVX512-BF16, AMX, or arm64's BF16). Linux tells."""
    try:
        said = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    flags = {
        word for line in said.splitlines() if line.lower().startswith(("flags", "features")) for word in line.split()
    }
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def memory_mb() -> dict[str, float]:
    """{"now", "peak"}: resident memory of this process in MB (10⁶ bytes); 0 on Windows.

    The kernel's VmHWM counts this program's memory alone. It is used where /proc exists. getrusage's ru_maxrss, the
    fallback, also counts the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        try:
            import resource
        except ImportError:
            return {"now": 0.0, "peak": 0.0}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        return {"now": peak, "peak": peak}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {key: int(fields[name].split()[0]) * 1024 / 1e6 for key, name in (("now", "VmRSS"), ("peak", "VmHWM"))}


def machine() -> dict:
    """Facts for benchmarks: {"cpu", "cpus", "system", "python", "ai_edge_litert"}."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    return {
        "cpu": name or platform.machine(),
        "cpus": cpus(),
        "system": platform.system(),
        "python": platform.python_version(),
        "ai_edge_litert": metadata.version("ai-edge-litert"),
    }


def load_average() -> float:
    """The load average of the last minute, which shows other work on the machine."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0
