"""How much of the host's memory this process may still take."""

from collections.abc import Iterator
from pathlib import Path

# By version of Linux's control groups: where they lie, the limit, what is taken, and of that, in
# memory.stat, the file cache, which gives way.
_GROUPS = {
    1: ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive"),
    2: ("sys/fs/cgroup", "memory.max", "memory.current", "inactive"),
}


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that are available; None where the system does not tell.

    On Linux that is what the machine has left, or less: what is left of the limit of a container or
    of a cluster's job, beyond which the process would be killed.

    Args:
        root: Where the files of the system lie.
    """
    told = [*_of_machine(root), *_of_groups(root)]
    return max(0, min(told)) if told else None


def _of_machine(root: Path) -> Iterator[int]:
    if (kib := _row(root / "proc/meminfo", "MemAvailable:")) is not None:
        yield kib * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what is left of each limit on the groups of this process."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        place, limit, taken, cache = _GROUPS[1 if controllers else 2]
        top = root / place
        own = top / name.strip("/")  # absent in a container, which sees its own group at the top
        for group in (own, *own.parents):
            if group.is_relative_to(top):
                most, now = _text(group / limit).strip(), _text(group / taken).strip()
                if most.isdigit() and now.isdigit():  # "max": no limit
                    yield int(most) - int(now) + (_row(group / "memory.stat", f"{cache}_file") or 0)


def _row(path: Path, name: str) -> int | None:
    """Return the number in the first line ``name number ...`` of a file, if any."""
    rows = (line.split() for line in _text(path).splitlines())
    return next((int(row[1]) for row in rows if row[:1] == [name]), None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
