"""Files that appear whole or not at all: they get a temporary name first and are renamed."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.util.errors import InputError


@contextlib.contextmanager
def replacing(path: str | Path, partial: str | Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that is renamed to it when the block succeeds.

    The suffix is kept (video writers choose their format by it). On any exception, Ctrl-C too,
    ``path`` stays as it was, and the temporary file is removed, or renamed to ``partial`` where
    that is given and the file is not empty. Missing folders are made. An earlier ``partial`` is
    removed when the block succeeds.

    Raises:
        InputError: The folder cannot be made or written to, or the disk is full.
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
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would hide results from other users
        yield temporary
        temporary.replace(path)
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
    except BaseException as error:
        if partial is not None and temporary.exists() and temporary.stat().st_size:
            Path(partial).parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(partial)
        if isinstance(error, OSError):
            raise InputError(f"{path}: not written ({error.strerror or error})") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def exists(path: str | Path) -> bool:
    """Return whether there is such a file or folder; False also for a name that none can have.

    ``Path.exists``, and the like, raise an ``OSError`` for names of more than 255 bytes and below
    folders that may not be read.
    """
    return os.path.exists(path)


def is_file(path: str | Path) -> bool:
    """Return whether there is such a file; otherwise as ``exists``."""
    return os.path.isfile(path)


def is_dir(path: str | Path) -> bool:
    """Return whether there is such a folder; otherwise as ``exists``."""
    return os.path.isdir(path)


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2, as C libraries do, past sys.stderr."""
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def cache_dir() -> Path:
    """Return $HCFT_CACHE, else $XDG_CACHE_HOME/hcft_jax, else ~/.cache/hcft_jax."""
    if own := os.environ.get("HCFT_CACHE"):
        return Path(own)
    general = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(general, "hcft_jax")
