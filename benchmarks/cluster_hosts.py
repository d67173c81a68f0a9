"""Labels on a Ray of several hosts, which are network namespaces of this machine, and compares the bytes with one
process.

    python benchmarks/cluster_hosts.py --teacher_dir=RUN/teacher --output_dir=DIR [--hosts=4] [--texts=2000]

The hosts share this machine's folders and nothing else: each has an address of its own. Needs root, `ip` (iproute2)
and `make install-ray`. Prints the seconds of one process, of `--cluster=ray` here, and of the hosts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cluster_kills import files_in, made_up

from kd_keras.common.markdown import markdown_table

PORT = 6379


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--teacher_dir", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--texts", type=int, default=2000, help="made-up texts of 4 to 11 words")
    parser.add_argument("--shard_rows", type=int, default=100)
    args = parser.parse_args()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    text = args.output_dir / "text.txt"
    text.write_text("".join(f"{line}\n" for line in made_up(args.texts)))
    more = [f"--teacher_dir={args.teacher_dir}", f"--input={text}", f"--shard_rows={args.shard_rows}"]
    where = {name: args.output_dir / name for name in ("alone", "ray", "hosts")}
    seconds = {
        "one process": label([*more, f"--output_dir={where['alone']}"]),
        "--cluster=ray, 2 workers": label([*more, f"--output_dir={where['ray']}", "--cluster=ray"]),
    }
    with hosts(args.hosts) as (first, environment):
        seconds[f"{args.hosts} hosts, a worker each"] = label(
            [*more, f"--output_dir={where['hosts']}", "--cluster=ray"], first, environment
        )
    wanted = files_in(where["alone"])
    same = ["", *(str(files_in(where[name]) == wanted) for name in ("ray", "hosts"))]
    print(f"python {' '.join(sys.argv)}")
    base = seconds["one process"]
    lines = [[n, f"{s:.1f}", f"{s / base:.2f}", b] for (n, s), b in zip(seconds.items(), same, strict=True)]
    print(markdown_table(["", "seconds", "× one process", "same bytes"], lines))


def label(arguments: list[str], before: list[str] | None = None, environment: dict | None = None) -> float:
    command = [*(before or []), sys.executable, "-m", "kd_keras.label", *arguments]
    started = time.monotonic()
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - started


@contextlib.contextmanager
def hosts(count: int) -> Iterator[tuple[list[str], dict]]:
    """A cluster of ``count`` namespaces with a CPU each: what runs a command on its head, and its environment."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    ray = str(Path(sys.executable).with_name("ray"))
    with contextlib.ExitStack() as stack:
        temp = stack.enter_context(tempfile.TemporaryDirectory())
        run(["ip", "link", "add", "kd-bridge", "type", "bridge"])
        stack.callback(run, ["ip", "link", "del", "kd-bridge"])
        run(["ip", "link", "set", "kd-bridge", "up"])
        started = []
        for n in range(1, count + 1):
            run(["ip", "netns", "add", f"kd-{n}"])
            stack.callback(run, ["ip", "netns", "del", f"kd-{n}"])
            run(["ip", "link", "add", f"kd-out-{n}", "type", "veth", "peer", "name", "eth0", "netns", f"kd-{n}"])
            run(["ip", "link", "set", f"kd-out-{n}", "master", "kd-bridge", "up"])
            inside = ["ip", "netns", "exec", f"kd-{n}"]
            run([*inside, "ip", "addr", "add", f"10.77.0.{n}/24", "dev", "eth0"])
            for device in ("lo", "eth0"):
                run([*inside, "ip", "link", "set", device, "up"])
            role = [f"--address=10.77.0.1:{PORT}"]
            if n == 1:
                role = ["--head", f"--port={PORT}", f"--temp-dir={temp}", "--include-dashboard=false"]
            own = [f"--node-ip-address=10.77.0.{n}", "--num-cpus=1", "--object-store-memory=100000000"]
            log = stack.enter_context(tempfile.TemporaryFile("w+"))
            command = [*inside, ray, "start", *role, *own, "--disable-usage-stats", "--block"]
            process = subprocess.Popen(command, env=os.environ | token, stdout=log, stderr=log)
            started.append((process, log))
            stack.callback(end, process)
            time.sleep(8 if n == 1 else 2)
        time.sleep(5)
        for process, log in started:
            if process.poll() is not None:
                log.seek(0)
                sys.exit(log.read())
        yield ["ip", "netns", "exec", "kd-1"], token | {"RAY_ADDRESS": f"10.77.0.1:{PORT}"}


def end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait()


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
