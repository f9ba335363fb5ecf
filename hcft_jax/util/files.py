"""Files that appear whole or not at all: they get a temporary name first and are renamed."""

import contextlib
import functools
import hashlib
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from hcft_jax.util.errors import InputError, of_storage

_TEMPORARY = re.compile(
    r"\.(?:(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]{1,10})-)?[a-z0-9_]{8}\.tmp(?:\.\w+)?"
)
_FORGOTTEN = 7 * 24 * 3600.0  # seconds
_ATTEMPTS = 100  # to lock a file that others remove


@contextlib.contextmanager
def replacing(path: str | Path, partial: str | Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that is renamed to it when the block succeeds.

    The suffix is kept (video writers choose their format by it). On any exception, Ctrl-C too,
    ``path`` stays as it was, and the temporary file is removed, or renamed to ``partial`` where
    that is given and the file is not empty. Missing folders are made. An earlier ``partial`` is
    removed when the block succeeds. What a process that was killed has left is found by
    ``reclaim``.

    Raises:
        InputError: The folder cannot be made or written to; a ``StorageError`` where the disk is
            full.
    """
    path = Path(path)
    prefix = f".{_here()}-{os.getpid()}-"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidied(path.parent.absolute())
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=f".tmp{path.suffix}")
    except OSError as error:
        raise of_storage(error, f"{path.parent}: cannot write there") from error
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
            raise of_storage(error, f"{path}: not written") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def lines(path: str | Path, partial: str | Path) -> Iterator[TextIO]:
    """Open a text for writing, which gets its name at the end of the block, as ``replacing``.

    What comes to ``partial`` after an exception has whole lines, on a full disk too.
    """
    with replacing(path, partial) as temporary:
        try:
            with temporary.open("w+", encoding="utf-8", newline="\n") as file:
                yield file
        except BaseException:
            with contextlib.suppress(OSError):
                os.truncate(temporary, temporary.read_bytes().rfind(b"\n") + 1)
            raise


@functools.cache
def _tidied(folder: Path) -> None:
    """Remove what killed processes have left in a folder, when this one first writes there."""
    reclaim(folder, below=False)


def reclaim(folder: str | Path, *, below: bool = True) -> int:
    """Remove the temporary files of dead processes in a folder and below; return how many.

    A process is known to be dead where it ran on this machine and is not there any more. A file of
    another machine, or of a program that did not note its process, is one that nobody has written
    to for a week.

    Args:
        folder: Where ``replacing`` was used. Nothing happens where it is not there.
        below: Whether the folders in it are looked at, too.
    """
    removed = 0
    for place, folders, names in os.walk(folder):
        if not below:
            folders.clear()
        for name in names:
            if match := _TEMPORARY.fullmatch(name):
                path = Path(place, name)
                with contextlib.suppress(OSError):
                    if _abandoned(path, match["machine"], int(match["process"] or 0)):
                        path.unlink()
                        removed += 1
    return removed


def _abandoned(path: Path, machine: str | None, process: int) -> bool:
    if machine == _here() and os.name == "posix":  # elsewhere the signal 0 would end it
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:  # of another user
            return False
        return False
    return time.time() - path.stat().st_mtime > _FORGOTTEN


@functools.cache
def _here() -> str:
    """Return a name of this machine, within which a process has one number.

    Containers may share the name of their machine, and still count processes of their own.
    """
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux
        space = 0
    text = f"{platform.node()} {space}"
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()


@contextlib.contextmanager
def locked(path: str | Path, waiting: str | None = None) -> Iterator[None]:
    """Hold a lock file inside the block; wait for another process that holds it.

    The system frees it when the process ends, however it ends. The file, whose folder is made, is
    removed at the end. Where there are no such locks (Windows, some network drives) nobody waits.

    Args:
        path: The lock file.
        waiting: A line for the terminal before it waits; None: nothing is said.

    Raises:
        InputError: The file cannot be made.
    """
    path = Path(path)
    with _held(path, waiting):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _held(path: Path, waiting: str | None) -> BinaryIO:
    """Return the open lock file of which this process has the lock, and no other one can have."""
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as stack:
                file = stack.enter_context(path.open("wb"))
                _lock(file.fileno(), waiting)
                # else it was removed meanwhile, and a third process may have that of the next one
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    stack.pop_all()
                    return file
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or attempt == _ATTEMPTS - 1:
                raise of_storage(error, f"{path.parent}: cannot write there") from error
    raise InputError(f"{path}: cannot be locked, it changes all the time")


def _lock(handle: int, waiting: str | None) -> None:
    try:
        import fcntl
    except ImportError:
        return
    with contextlib.suppress(OSError):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)


def discard(path: str | Path, top: str | Path) -> None:
    """Remove a file, where there is one, and the folders around it that are empty then.

    Args:
        path: The file. What cannot be removed stays.
        top: A folder around it, which stays.
    """
    path = Path(path)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == Path(top):
                break
            folder.rmdir()


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
