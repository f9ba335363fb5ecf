"""Reads the arrays of an .npz file: nothing is unpickled, and nothing grows beyond its header.

NumPy's own reader makes an array of the size that a header declares before it looks whether the
file has as much.
"""

import errno
import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError

MOST = 1 << 30  # bytes of all arrays together

_ENTRIES = 10_000
_BLOCK = 1 << 18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile and the readers of a header raise about damaged or unusual files.
_DAMAGE = (
    *(ValueError, EOFError, KeyError, TypeError, IndexError, OverflowError, SyntaxError),
    *(RecursionError, MemoryError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def read(
    path: Path, most: int, *, names: Collection[str] | None = None, ratio: float | None = None
) -> dict[str, np.ndarray]:
    """Return arrays by name.

    Args:
        path: The file.
        most: The most bytes that the file may have.
        names: The arrays to read; None: all.
        ratio: How many times larger than the file the arrays may be, besides 64 MiB; None: any
            number. They never have more than ``MOST``.

    Raises:
        InputError: It is too large or no regular file; ``DamagedFile``: it is damaged or
            encrypted, lacks one of ``names`` or has Python objects in it.
        OSError: It cannot be opened.
    """
    try:
        with opening.zipped(path, most) as archive:
            infos = archive.infolist()
            if len(infos) > _ENTRIES or len(infos) > len({info.filename for info in infos}):
                raise ValueError("too many entries, or two of one name")
            by_name = {_stem(info): info for info in infos if info.filename.endswith(".npy")}
            wanted = list(by_name if names is None else names)
            if absent := [name for name in wanted if name not in by_name]:
                raise ValueError(f"no array {absent[0]}")
            limit = MOST
            if ratio is not None:
                limit = min(limit, (64 << 20) + int(ratio * path.stat().st_size))
            if sum(by_name[name].file_size for name in wanted) > limit:
                raise InputError(f"{path}: its arrays have more than {limit >> 20} MiB")
            return {name: _array(archive, by_name[name]) for name in wanted}
    except InputError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise damaged(path, error) from error  # a place before the file's beginning
    except _DAMAGE as error:
        raise damaged(path, error) from error


class DamagedFile(InputError):
    """The error about a file that is not what it should be."""


def damaged(path: Path, error: BaseException) -> DamagedFile:
    """Return the error about a file whose reader raised ``error``."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DamagedFile(f"{path}: truncated or damaged ({reason}); download or convert it again")


def _stem(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix(".npy")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    what = repr(info.filename[:40])
    if info.flag_bits & 1:
        raise ValueError(f"the entry {what} is encrypted")
    if info.compress_type not in _METHODS:
        raise ValueError(f"the entry {what} has the compression method {info.compress_type}")
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file)
        if dtype.hasobject or dtype.kind not in "biufcUS" or not dtype.itemsize:
            raise ValueError(f"the entry {what} has values of {str(dtype)[:40]}")
        size = math.prod(shape) * dtype.itemsize
        if len(shape) > 32 or min(shape, default=0) < 0 or file.tell() + size != info.file_size:
            raise ValueError(f"the entry {what} has another size than its header says")
        array = np.empty(shape, dtype, "F" if fortran else "C")
        if size:
            _fill(file, array.reshape(-1, order="A").view(np.uint8))
        if file.read(1):  # also compares the checksum
            raise ValueError(f"the entry {what} goes on after its array")
    return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"an array of format {version}")


def _fill(file: IO[bytes], values: np.ndarray) -> None:
    done = 0
    while done < values.size:
        block = file.read(min(_BLOCK, values.size - done))
        if not block:
            raise EOFError("it ends too early")
        values[done : done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
