"""Wall time of repeated calls, and the memory that they take at most."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

_PAGES = Path("/proc/self/statm")  # Linux: size and resident set in pages
_PAGE = 4096
_SAMPLED = 0.02  # seconds


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of a call whose result is waited for."""
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def in_turn(
    calls: Mapping[str, Callable[[], Any]], repeats: int, budget: float = float("inf")
) -> dict[str, list[float]]:
    """Seconds of each call, all of them called in turn: what disturbs one disturbs the others.

    Each is called once before, to warm up. So the values of a repeat belong together, and a ratio
    of two calls is best taken repeat by repeat.

    Args:
        calls: by name.
        repeats: of each.
        budget: no new repeat is begun after so many seconds; there is one in any case.
    """
    for call in calls.values():
        seconds(call)
    started = time.perf_counter()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        if repeat and time.perf_counter() - started > budget:
            break
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median and extremes of the ratio of two calls that were timed in turn."""
    return spread([a / b for a, b in zip(above, below, strict=False)])


class PeakMemory:
    """The most memory of the process while the block runs, sampled 50 times a second.

    ``peak`` is the resident set in bytes, ``grown`` how far that is above the start; both are None
    where the system does not tell (other than Linux).
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self._before: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def grown(self) -> int | None:
        """Bytes above what there was at the start."""
        if self.peak is None or self._before is None:
            return None
        return self.peak - self._before

    def __enter__(self) -> "PeakMemory":
        self._before = self.peak = resident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLED):
            self._sample()

    def _sample(self) -> None:
        now = resident()
        if now is not None:
            self.peak = max(self.peak or 0, now)


def resident() -> int | None:
    """Bytes of this process that are in memory; None where the system does not tell."""
    try:
        return int(_PAGES.read_text().split()[1]) * _PAGE
    except OSError:
        return None


def device_memory(device: jax.Device) -> dict[str, int] | None:
    """Bytes in use on a device, now and at most since the process began; None: it does not tell."""
    known = device.memory_stats() or {}
    wanted = ("bytes_in_use", "peak_bytes_in_use", "bytes_limit")
    return {name: int(known[name]) for name in wanted if name in known} or None
