"""Counts how often and how long this process has compiled, from JAX's own events."""

import threading
from dataclasses import dataclass

import jax


@dataclass(frozen=True)
class Compilations:
    """The totals since the process began to count."""

    executables: int
    seconds: float  # lowering and compiling

    def __sub__(self, earlier: "Compilations") -> "Compilations":
        return Compilations(self.executables - earlier.executables, self.seconds - earlier.seconds)


_BACKEND = "/jax/core/compile/backend_compile_duration"
# tracing is left out: its events nest, so their sum says nothing
_EVENTS = (_BACKEND, "/jax/core/compile/jaxpr_to_mlir_module_duration")
_lock = threading.Lock()
_total = Compilations(0, 0.0)


def _listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
    global _total
    if event in _EVENTS:
        with _lock:
            executables = _total.executables + (event == _BACKEND)
            _total = Compilations(executables, _total.seconds + duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)


def total() -> Compilations:
    """Return the count so far; the difference of two counts is what lies between them."""
    return _total


_cleared = _total


def clear_beyond(limit: int) -> None:
    """Drop all executables once ``limit`` have been compiled since the last time."""
    global _cleared
    if (_total - _cleared).executables >= limit:
        jax.clear_caches()
        _cleared = _total
