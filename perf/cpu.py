"""CPU time and resident memory of a process tree, read from outside.

Requests per second on two shared cores say little; the CPU a gateway burns per request is stable.
The kernel's tick counters (/proc/<pid>/stat) move in steps of 10 ms, so live processes are read
through their POSIX CPU clock, which counts nanoseconds over all threads, ended ones included.
Children that have ended are found in their parent's cutime and cstime.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/<pid>/stat used here; times in seconds."""

    pid: int
    parent: int
    own: float
    ended_children: float


def parse_stat(text: str) -> Stat:
    # The command name may hold spaces and brackets: fields are counted from the last ")".
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    utime, stime, cutime, cstime = (int(value) for value in fields[11:15])
    return Stat(
        pid=int(head.split("(", 1)[0]),
        parent=int(fields[1]),
        own=(utime + stime) * TICK,
        ended_children=(cutime + cstime) * TICK,
    )


def _read_stat(pid: int) -> Stat | None:
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text())
    except (OSError, ValueError):
        return None  # gone between listing and reading


def tree(root: int) -> list[int]:
    """`root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            stat = _read_stat(int(entry.name))
            if stat is not None:
                children.setdefault(stat.parent, []).append(stat.pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def process_seconds(pid: int) -> float | None:
    """User plus system time of one process; None when it is gone."""
    try:
        # The clock id of a process: its complement shifted, plus 2 for the scheduler's exact clock
        # (clock_getcpuclockid).
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        stat = _read_stat(pid)
        return None if stat is None else stat.own


def cpu_seconds(root: int) -> float:
    """CPU seconds of the tree under `root` since it started."""
    total = 0.0
    for pid in tree(root):
        stat, own = _read_stat(pid), process_seconds(pid)
        if stat is not None and own is not None:
            total += own + stat.ended_children
    return total


def rss_bytes(root: int) -> int:
    """Resident memory of the tree; pages shared by several processes count once for each."""
    total = 0
    for pid in tree(root):
        try:
            total += int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
        except (OSError, IndexError):
            continue
    return total


@dataclass
class Meter:
    """CPU used by a tree between `start()` and `stop()`."""

    pid: int
    begun: float = 0.0

    def start(self) -> None:
        self.begun = cpu_seconds(self.pid)

    def stop(self) -> float:
        return cpu_seconds(self.pid) - self.begun


def machine() -> dict[str, str]:
    """What a reader must know beside the figures; names no host."""
    model = "unknown"
    try:
        for line in (PROC / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        memory = int((PROC / "meminfo").read_text().split()[1]) // 1024
    except (OSError, ValueError, IndexError):
        memory = 0
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "memory_mb": str(memory),
        "kernel": os.uname().release.split("-")[0],
        "system": os.uname().sysname,
    }
