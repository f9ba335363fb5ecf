"""Opens files for reading: regular ones only, none larger than its kind ever is.

A named pipe, a device or a socket in the place of a file would be waited for, or read, for ever;
a link counts as what it leads to. All readers of the package open their files here.
"""

import contextlib
import errno
import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from hcft_jax.util.errors import InputError

# The most bytes that a file of a kind may have, far above real ones.
TEXT = 16 << 20  # a row of a box has about 25 bytes: half a million frames
CONFIGURATION = 1 << 20  # of which Python's parser can take 200 MB
MASKS = 32 << 20  # rows of run lengths: a mask has one or two KB
IMAGE = 512 << 20  # 8192 x 8192 px of 16 bits and four channels
WEIGHTS = 4 << 30  # VGG-19 has 0.6 GB; a checkpoint has its optimiser's state besides
RESULTS = 256 << 20  # a .mat file of all runs of a tracker on a sequence
RESPONSES = 2 << 30  # maps of a sequence
ARCHIVE = 2 << 30  # a sequence of OTB-100; the largest has 0.1 GB
DOWNLOAD = 8 << 30
VIDEO = 64 << 40  # decoded frame by frame: no more than a file system holds

_DIRECTORY = 16 << 20  # bytes of an archive's directory, which zipfile reads at once
_END = struct.Struct("<4s4H2LH")  # of an archive, before its comment
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = 20  # bytes

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def regular(path: str | os.PathLike[str], most: int) -> BufferedReader:
    """Open a regular file for reading; nothing is waited for.

    Args:
        path: The file, or a link to it.
        most: The most bytes that it may have.

    Raises:
        InputError: It is something else than a regular file, or too large, or no path at all.
        OSError: It cannot be opened, as by ``open``; a folder is ``IsADirectoryError``.
    """
    try:
        _check(path, os.stat(path), most)  # before: opening a device may already do something
        # not blocking: it may have become a named pipe since
        flags = ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
        handle = os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    except InputError:
        raise
    except ValueError as error:  # a NUL
        raise InputError(f"{os.fspath(path)!r}: not a path ({error})") from error
    try:
        _check(path, os.fstat(handle), most)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check(path: str | os.PathLike[str], status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        what = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise InputError(f"{os.fspath(path)}: {what}, not a regular file; give the file itself")
    if status.st_size > most:
        raise _too_large(path, most)


def _too_large(path: str | os.PathLike[str], most: int) -> InputError:
    return InputError(f"{os.fspath(path)}: too large for its kind, at most {most >> 20} MiB")


def content(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file, or a link to it.
        most: The most bytes that it may have.

    Raises:
        InputError: As for ``regular``.
        OSError: It cannot be read.
    """
    with regular(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        parts = [file.read(size)]
        while more := file.read(1 << 16):  # it grows, or does not tell its size
            parts.append(more)
            size += len(more)
            if size > most:
                raise _too_large(path, most)
        return b"".join(parts)


@contextlib.contextmanager
def zipped(path: Path, most: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; what it lists fits the memory.

    Args:
        path: The file.
        most: The most bytes that it may have.

    Raises:
        InputError: As for ``regular``, or its directory is too large.
        zipfile.BadZipFile: It is no archive.
        OSError: It cannot be read.
    """
    with regular(path, most) as file:
        if _directory(file) > _DIRECTORY:
            raise InputError(f"{path}: has too many entries")
        with zipfile.ZipFile(file) as archive:
            yield archive


def _directory(file: BufferedReader) -> int:
    """Return the size of an archive's directory, 0 where no end of an archive is found."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(size - _END.size - 0xFFFF - _LOCATOR_64 - _END_64.size, 0))
    tail = file.read()
    file.seek(0)
    end = tail.rfind(b"PK\x05\x06", 0, len(tail) - _END.size + 4)
    if end < 0 or start + end + _END.size > size:
        return 0
    found: int = _END.unpack_from(tail, end)[5]
    end_64 = end - _LOCATOR_64 - _END_64.size
    if end_64 >= 0 and tail.startswith(b"PK\x06\x07", end - _LOCATOR_64):
        found = max(found, _END_64.unpack_from(tail, end_64)[8])
    return found
