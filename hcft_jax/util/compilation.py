"""How often and how long this process has compiled, from JAX's own events, and for what."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np


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
_ran: set[Hashable] = set()


def once(name: str, run: Callable[[], object], *like: Any) -> None:
    """Run programs so that they are compiled, unless they have been for arguments of these shapes.

    Args:
        name: of the programs.
        run: calls them, with arguments that have the shapes of ``like``; what it returns is awaited
            and forgotten.
        like: pytrees whose structure and shapes and types of leaves decide what is compiled.
    """
    leaves, structure = jax.tree.flatten(like)
    kinds = tuple((np.shape(leaf), str(getattr(leaf, "dtype", type(leaf)))) for leaf in leaves)
    key = name, structure, kinds
    if key not in _ran:
        jax.block_until_ready(run())
        _ran.add(key)


def clear_beyond(limit: int) -> None:
    """Drop all executables once ``limit`` have been compiled since the last time."""
    global _cleared
    if (_total - _cleared).executables >= limit:
        jax.clear_caches()
        _ran.clear()
        _cleared = _total
