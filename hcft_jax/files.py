"""Files appear whole or not at all: written to a temporary name beside the target, then renamed."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.errors import InputError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that is renamed to it when the block succeeds.

    The suffix is kept (video writers choose their format by it). On any exception, Ctrl-C too, the
    temporary file is removed and ``path`` stays as it was. Missing folders are made.

    Raises:
        InputError: the folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f".tmp{path.suffix}")
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path.parent}: cannot write there ({reason})") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would hide results from other users
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: not written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
