"""Wall time of repeated calls, and the peak of the memory that they take."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

_PAGES = Path("/proc/self/statm")  # Linux: size and resident set in pages
_PAGE = 4096  # bytes
_SAMPLED = 0.02  # seconds


def seconds(call: Callable[[], Any]) -> float:
    """Return the wall time of a call, including the wait for its result."""
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the least and the largest value."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles of at least two values."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "lower quartile": low, "upper quartile": high}


def in_turn(
    calls: Mapping[str, Callable[[], Any]], repeats: int, budget: float = float("inf")
) -> dict[str, list[float]]:
    """Return the seconds of each call. All are called in turn, so a disturbance meets all of them.

    Each is called once before, to warm up. The values of a repeat belong together: take the ratio
    of two calls repeat by repeat.

    Args:
        calls: by name.
        repeats: the number of timed calls of each.
        budget: no new repeat begins after this many seconds; there is always one repeat.
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
    """Return the spread of the ratio of two calls that were timed in turn."""
    return spread([a / b for a, b in zip(above, below, strict=False)])


class PeakMemory:
    """The peak of the process's memory while the block runs, sampled 50 times per second.

    ``peak`` is the resident set in bytes, ``grown`` its growth since the start; both are None where
    the system does not tell (other than Linux).
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self._before: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def grown(self) -> int | None:
        """Bytes by which the peak exceeds the memory at the start."""
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
    """Return the bytes of this process that are in memory; None where the system does not tell."""
    try:
        return int(_PAGES.read_text().split()[1]) * _PAGE
    except OSError:
        return None


def device_memory(device: jax.Device) -> dict[str, int] | None:
    """Return the bytes in use on a device, now and at their peak; None where it does not tell."""
    known = device.memory_stats() or {}
    wanted = ("bytes_in_use", "peak_bytes_in_use", "bytes_limit")
    return {name: int(known[name]) for name in wanted if name in known} or None
