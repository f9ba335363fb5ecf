"""Whether this process was forked from one in which JAX had started: its programs would hang.

A fork has the memory of the process but only one of its threads, so that whatever waits for
another one waits for ever.
"""

import os
import sys

from hcft_jax.util.errors import InputError

_stale = False


def _mark() -> None:
    """Note, in the new process, whether JAX had started in the old one."""
    global _stale
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)  # no public function tells
    _stale = _stale or (started is not None and bool(started()))


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_mark)


def check() -> None:
    """Check that programs can run in this process.

    Raises:
        InputError: It was forked after JAX had started. That is known where this module had been
            imported before.
    """
    if _stale:
        raise InputError(
            "this process was forked after JAX had started, and its programs would hang in it: "
            "start processes by multiprocessing.get_context('spawn'), or before JAX is used"
        )
