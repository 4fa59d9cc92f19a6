"""Run code that nobody has read: no network, no files of the host, limits on everything, no process left behind.

A *jail* is the way in which the program is shut in: bubblewrap where it works, else `unshare` of util-linux, else the
code is refused. Both give it its own users, processes and network, a file system of the read-only system folders and
one small scratch folder, and an unprivileged user without capabilities. `Limits` are set before it starts.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from chidu.errors import Refusal
from chidu.tasks.jails import JAILS, Jail

Status = Literal["passed", "failed", "time", "memory", "output"]
CPU_ENDS = (-signal.SIGKILL, -signal.SIGXCPU, 128 + signal.SIGKILL, 128 + signal.SIGXCPU)
"""Exit codes of a program that the kernel ended because its CPU seconds were used up."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may use."""

    wall_seconds: float = 10.0
    cpu_seconds: int = 5
    """Of each process."""
    memory_bytes: int = 512 << 20
    """Address space of each process, and resident memory of all together."""
    processes: int = 16
    """Processes and threads at once."""
    file_bytes: int = 1 << 20
    """Largest file."""
    disk_bytes: int = 8 << 20
    """All files together: the scratch folder."""
    open_files: int = 64
    output_bytes: int = 64 << 10
    """Written to stdout and stderr together."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    status: Status
    """`passed`: it ended by itself with exit code 0; `failed`: with another one; else the limit that stopped it."""
    exit_code: int
    """Negative where a signal ended it."""
    output: str
    """stdout, as far as it was let through."""
    errors: str
    """stderr, likewise."""
    seconds: float

    def __str__(self) -> str:
        """One line: the status and the last line of stderr."""
        last = self.errors.strip().rpartition("\n")[2]
        return f"{self.status} after {self.seconds:.2f} s" + (f": {last}" if last else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def run_program(program: str, limits: Limits = Limits(), jail: Jail | None = None) -> Outcome:
    """Run a Python program in a jail and wait for its end.

    Raises:
        Refusal: no jail works on this machine.
    """
    jail = jail or find_jail()
    with tempfile.TemporaryDirectory(prefix="chidu-jail-") as folder:
        file = Path(folder) / "program.py"
        file.write_text(program, encoding="utf-8", errors="replace")
        file.chmod(0o444)
        Path(folder).chmod(0o755)
        return _watch(jail.command(file, _numbers(limits)), limits)


def run_programs(programs: Sequence[str], limits: Limits = Limits(), workers: int = 2) -> list[Outcome]:
    """Run programs, a few at a time; outcomes in the order given.

    Raises:
        Refusal: no jail works on this machine.
    """
    jail = find_jail()
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda program: run_program(program, limits, jail), programs))


@lru_cache(maxsize=1)
def find_jail() -> Jail:
    """The first jail in which a trivial program runs.

    Raises:
        Refusal: there is none; says what each of them lacked.
    """
    faults = []
    for jail in JAILS:
        fault = try_jail(jail)
        if fault is None:
            return jail
        faults.append(f"{jail.name}: {fault}")
    raise Refusal(
        f"generated code is not run outside of a sandbox, and none works here ({'; '.join(faults)}); install bubblewrap"
    )


def try_jail(jail: Jail) -> str | None:
    """Why a jail does not work here; None where it does."""
    if sys.platform != "linux":
        return "needs Linux"
    if (missing := jail.missing()) is not None:
        return f"{missing} is not installed"
    outcome = run_program("print('in')", Limits(), jail)
    if outcome.status == "passed" and outcome.output == "in\n":
        return None
    return outcome.errors.strip().rpartition("\n")[2] or f"a trivial program ended with {outcome.exit_code}"


def _numbers(limits: Limits) -> dict[str, int]:
    """The limits that the kernel holds, as the jail's starter takes them."""
    return {
        "CPU": limits.cpu_seconds,
        "AS": limits.memory_bytes,
        "NPROC": limits.processes,
        "FSIZE": limits.file_bytes,
        "NOFILE": limits.open_files,
        "CORE": 0,
        "disk": limits.disk_bytes,
    }


def _watch(command: Sequence[str], limits: Limits) -> Outcome:
    """Start a jail, read what it writes, and end it where a limit is passed."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        start_new_session=True,
    )
    kept: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    broken: Status | None = None
    try:
        broken = _read(process, kept, limits, started)
    finally:
        _end(process)
    seconds = time.monotonic() - started
    code = process.returncode
    output, errors = (kept[name].decode("utf-8", "replace") for name in ("stdout", "stderr"))
    if broken is None and code in CPU_ENDS and seconds >= 0.9 * limits.cpu_seconds:
        broken = "time"
    if broken is None and code != 0 and errors.strip().rpartition("\n")[2].startswith("MemoryError"):
        broken = "memory"
    return Outcome(broken or ("passed" if code == 0 else "failed"), code, output, errors, seconds)


def _read(process: "subprocess.Popen[bytes]", kept: dict[str, bytes], limits: Limits, started: float) -> Status | None:
    """Read both pipes until they close; returns the limit that was passed, if any."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, "stdout")
        selector.register(process.stderr, selectors.EVENT_READ, "stderr")
        while selector.get_map():
            left = limits.wall_seconds - (time.monotonic() - started)
            if left <= 0:
                return "time"
            for key, _ in selector.select(min(left, 0.1)):
                block = os.read(key.fd, 1 << 16)
                if not block:
                    selector.unregister(key.fileobj)
                kept[key.data] += block
            if sum(map(len, kept.values())) > limits.output_bytes:
                for name in kept:
                    kept[name] = kept[name][: limits.output_bytes]
                return "output"
            if _resident(process.pid) > limits.memory_bytes:
                return "memory"
    try:
        process.wait(max(0.0, limits.wall_seconds - (time.monotonic() - started)))
    except subprocess.TimeoutExpired:
        return "time"
    return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the jail; the kernel then kills every process in it, for its first process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _resident(root: int) -> int:
    """Resident bytes of a process and all below it; 0 where /proc does not say."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)], pages[int(folder.name)] = int(fields[1]), int(fields[21])
    total, below = 0, {root}
    while below:
        total += sum(pages.get(pid, 0) for pid in below)
        below = {pid for pid, parent in parents.items() if parent in below}
    return total * os.sysconf("SC_PAGE_SIZE")
