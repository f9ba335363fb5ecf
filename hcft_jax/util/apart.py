"""Readers in a process of their own: what a damaged file does to them ends there.

A compiled parser may end its process, loop or take all memory on a file that is damaged or made to
do so. A reader here is a module of this package, run as ``python -m MODULE FILE ...``. It has
limits of memory and time, and answers with arrays in an .npz; nothing is unpickled. It takes half
a second to start.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

import hcft_jax
from hcft_jax.util import npz
from hcft_jax.util.errors import InputError

SECONDS = 60  # that a reader may take; most of it is waiting for a slow disk
COMPUTING = 10  # seconds that it may compute; all of VGG-19 takes less than one
MEMORY = 1 << 30  # bytes of addresses that it may have; Python and its libraries take a tenth

_MESSAGE = 500  # characters


def arrays(module: str, path: Path, arguments: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays that a reader finds in a file.

    Args:
        module: The reader, which runs ``answer``.
        path: The file.
        arguments: What the reader gets besides.

    Raises:
        InputError: What the reader says; or it ended without an answer, or took too long.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "arrays.npz")
            done = subprocess.run(
                [sys.executable, "-P", "-m", module, str(target), str(path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_environment(),
                timeout=SECONDS,
                check=False,
            )
            if done.returncode == 2:
                lines = done.stderr.decode("utf-8", "replace").split("\n")
                raise InputError(lines[0][:_MESSAGE])
            if done.returncode or not target.exists():
                raise InputError(f"{path}: damaged, its reader ended{_how(done.returncode)}")
            return npz.read(target, npz.MOST)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path}: damaged, its reader does not come to an end") from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: no process can be started to read it ({reason})") from error


def _environment() -> dict[str, str]:
    """Return the environment of a reader, which finds this copy of the package."""
    found = os.environ | {
        "OPENBLAS_NUM_THREADS": "1",  # more would reserve memory, and there is nothing to multiply
        "HDF5_PLUGIN_PRELOAD": "::",  # no code for compressed data from elsewhere
    }
    root = Path(hcft_jax.__file__).parents[1]
    if not root.name.endswith("-packages"):  # a checkout
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        found["PYTHONPATH"] = os.pathsep.join(paths)
    return found


def _how(status: int) -> str:
    if status >= 0:
        return f" with status {status}"
    try:
        return f" by {signal.Signals(-status).name}"
    except ValueError:
        return f" by signal {-status}"


def answer(read: Callable[[Path, Sequence[str]], Mapping[str, np.ndarray]]) -> int:
    """Run a reader on the command line that ``arrays`` makes; return the exit status.

    Args:
        read: Maps the file and the other arguments to arrays by name; ``InputError`` is passed on.
    """
    _limit()
    target, path, *arguments = sys.argv[1:]
    try:
        np.savez(target, allow_pickle=False, **read(Path(path), arguments))
    except InputError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except MemoryError:
        print(f"{path}: needs more memory than such a file does", file=sys.stderr)
        return 2
    return 0


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where only the time is limited
        return
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, COMPUTING)):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > most:
            try:
                resource.setrlimit(kind, (most, hard))
            except (OSError, ValueError):  # macOS has no limit of the address space
                continue
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
