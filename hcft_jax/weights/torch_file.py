"""Reads the tensors of a PyTorch ``state_dict`` file without PyTorch and without unpickling.

A ``.pth`` file is a pickle, and unpickling a downloaded file runs whatever code it names. Here the
pickle is interpreted instead (``pickle_machine``).

Two containers exist (formats as written by ``torch.save``):

* zip (PyTorch 1.6 and later): ``<name>/data.pkl``, ``<name>/data/<key>`` with the raw storages and,
  in newer files, ``<name>/byteorder``;
* legacy: five consecutive pickles (magic number, protocol version, system information, the object,
  the list of storage keys), then for each key an int64 element count and the raw values.
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from hcft_jax.util import npz, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown
from hcft_jax.weights.pickle_machine import (
    BoundedPickle,
    TorchStorage,
    TorchTensor,
    expect,
    interpret,
    plain_key,
)

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

# Bounds far above real files.
_SLACK = 64 << 20  # bytes of the tensors, besides a multiple of those of the file
_RATIO = 4

_STATES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
"""What trainers call the ``state_dict`` in a checkpoint."""


def is_zip(path: Path) -> bool:
    """Tell whether a file is a zip archive of ``torch.save``."""
    try:
        with opening.zipped(path, opening.WEIGHTS) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read(path: str | Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, np.ndarray]:
    """Return the named tensors of a ``state_dict`` saved by ``torch.save``.

    Args:
        path: The file, in either container.
        wanted: Tells which names to read; the values of the others are skipped.

    Returns:
        ``{name: array}``, C-contiguous and in the machine's byte order, with the stored dtype.

    Raises:
        InputError: The file is missing, truncated or not a plain ``state_dict``, or its pickle
            names anything but tensors; nothing in it is ever executed.
    """
    path = Path(path)
    try:
        if is_zip(path):
            return _read_zip(path, wanted)
        return _read_legacy(path, wanted)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: not a complete PyTorch file ({type(error).__name__}: {reason}); "
            "download it again"
        ) from error


# A damaged file makes these raise: pickletools and the machine below (ValueError, IndexError,
# TypeError, KeyError), the archive (BadZipFile, zlib.error, struct.error, NotImplementedError for
# an unknown compression, RuntimeError for encryption), forged sizes (OverflowError, MemoryError).
_DAMAGE = (
    *(ValueError, IndexError, TypeError, KeyError, EOFError, OverflowError, MemoryError),
    *(struct.error, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
)


def _read_zip(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    with opening.zipped(path, opening.WEIGHTS) as archive:
        names = set(archive.namelist())
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise InputError(f"{path}: expected one data.pkl in the archive, found {len(pickles)}")
        root = pickles[0].removesuffix("data.pkl")
        order = b"little"
        if f"{root}byteorder" in names:
            with archive.open(f"{root}byteorder") as file:
                order = file.read(16)
        if order not in (b"little", b"big"):
            raise ValueError("an unknown byte order")
        with archive.open(pickles[0]) as file:
            tensors = _tensors(interpret(BoundedPickle(file), path), path, wanted)
        _affordable(tensors.values(), path)
        storages: dict[str, np.ndarray] = {}
        for tensor in tensors.values():
            storage = tensor.storage
            if storage.key in storages:
                continue
            member = archive.getinfo(f"{root}data/{storage.key}")
            dtype = np.dtype(storage.dtype).newbyteorder("<" if order == b"little" else ">")
            if member.file_size != storage.count * dtype.itemsize:
                raise ValueError(f"storage {shown(storage.key)} has {member.file_size} bytes")
            storages[storage.key] = np.frombuffer(archive.read(member), dtype)
        return {name: _values(tensor, storages) for name, tensor in tensors.items()}


def _read_legacy(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    with opening.regular(path, opening.WEIGHTS) as file:
        pickles = BoundedPickle(file)
        if interpret(pickles, path) != LEGACY_MAGIC or interpret(pickles, path) != _PROTOCOL:
            raise InputError(f"{path}: not a file of torch.save")
        system = expect(interpret(pickles, path), dict)
        if system.get("little_endian") is not True:
            raise InputError(f"{path}: written on a big-endian machine; save it again elsewhere")
        seen: dict[str, TorchStorage] = {}
        tensors = _tensors(interpret(pickles, path, seen), path, wanted)
        _affordable(tensors.values(), path)
        needed = {tensor.storage.key for tensor in tensors.values()}
        storages: dict[str, np.ndarray] = {}
        for key in expect(interpret(pickles, path), list):
            storage = seen[plain_key(key)]
            dtype = np.dtype(storage.dtype).newbyteorder("<")
            count = int.from_bytes(_exactly(file, 8), "little", signed=True)
            if count != storage.count:
                raise ValueError(f"a storage has {count} elements, not {storage.count}")
            if storage.key in needed:
                data = _exactly(file, count * dtype.itemsize)
                storages[storage.key] = np.frombuffer(data, dtype)
            else:
                file.seek(count * dtype.itemsize, 1)
        if file.tell() > path.stat().st_size:
            raise EOFError("the file ends too early")
        return {name: _values(tensor, storages) for name, tensor in tensors.items()}


def _affordable(tensors: Iterable[TorchTensor], path: Path) -> None:
    """Raise InputError where tensors and their storages are too large for the file.

    A tensor has no more elements than its storage: strides of zero would make it any size.
    """
    size = 0
    storages: dict[str, int] = {}
    for tensor in tensors:
        storage, count = tensor.storage, math.prod(tensor.shape)
        if count > storage.count:
            raise ValueError(f"a tensor of {count} numbers in a storage of {storage.count}")
        itemsize = np.dtype(storage.dtype).itemsize
        storages[storage.key] = storage.count * itemsize
        size += count * itemsize
    size += sum(storages.values())
    if size > min(npz.MOST, _SLACK + _RATIO * path.stat().st_size):
        raise InputError(f"{path}: its tensors are too large for a file of its size")


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size) if size >= 0 else b""
    if len(data) != size:
        raise EOFError("the file ends too early")
    return data


def _tensors(root: Any, path: Path, wanted: Callable[[str], bool]) -> dict[str, TorchTensor]:
    """Return the wanted tensors of a state_dict, or of a checkpoint that has one."""
    for name in _STATES:
        if isinstance(root, dict) and isinstance(root.get(name), dict):
            root = root[name]
            break
    if not isinstance(root, dict):
        raise InputError(f"{path}: holds a {type(root).__name__}, not a state_dict of tensors")
    return {
        name: value
        for name, value in root.items()
        if isinstance(name, str) and isinstance(value, TorchTensor) and wanted(name)
    }


def _values(tensor: TorchTensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    """Return a tensor's elements, gathered by its offset and strides (both count elements)."""
    storage = storages[tensor.storage.key]
    first = tensor.storage.start + tensor.offset
    dtype = storage.dtype.newbyteorder("=")
    if math.prod(tensor.shape) == 0:
        return np.zeros(tensor.shape, dtype)
    last = first + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if last >= storage.size:
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[first:], tensor.shape, strides, writeable=False)
    return np.array(view, dtype, order="C")
