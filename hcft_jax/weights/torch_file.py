"""Reads the tensors of a PyTorch ``state_dict`` file without PyTorch and without unpickling.

A ``.pth`` file is a pickle, and unpickling a downloaded file runs whatever code it names. Here the
pickle's opcodes are interpreted instead (``pickletools.genops`` only decodes them): a few opcodes
that build containers, and four named functions whose meaning is implemented below. Anything else is
refused by name, so that no code of the file can run.

Two containers exist (formats as written by ``torch.save``):

* zip (PyTorch 1.6 and later): ``<name>/data.pkl``, ``<name>/data/<key>`` with the raw storages and,
  in newer files, ``<name>/byteorder``;
* legacy: five consecutive pickles (magic number, protocol version, system information, the object,
  the list of storage keys), then for each key an int64 element count and the raw values.
"""

import math
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hcft_jax.util.errors import InputError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MAX_ELEMENTS = 2**28  # more than twice VGG-19's largest tensor: a bound for forged strides

_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_FUNCTIONS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",  # before PyTorch 0.4
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
}


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    count: int
    start: int  # first element of a view into the storage (legacy files)


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The pickle machine's MARK."""


def is_zip(path: Path) -> bool:
    """Tell whether a file is a zip archive of ``torch.save``."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
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
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise InputError(
            f"{path}: not a complete PyTorch file ({type(error).__name__}: {error}); "
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
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise InputError(f"{path}: expected one data.pkl in the archive, found {len(pickles)}")
        root = pickles[0].removesuffix("data.pkl")
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in names else b"little"
        with archive.open(pickles[0]) as file:
            tensors = _tensors(_interpret(file, path), path, wanted)
        storages: dict[str, np.ndarray] = {}
        for tensor in tensors.values():
            storage = tensor.storage
            if storage.key in storages:
                continue
            member = archive.getinfo(f"{root}data/{storage.key}")
            dtype = np.dtype(storage.dtype).newbyteorder("<" if order == b"little" else ">")
            if member.file_size != storage.count * dtype.itemsize:
                raise ValueError(f"storage {storage.key} has {member.file_size} bytes")
            storages[storage.key] = np.frombuffer(archive.read(member), dtype)
        return {name: _values(tensor, storages) for name, tensor in tensors.items()}


def _read_legacy(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        if _interpret(file, path) != LEGACY_MAGIC or _interpret(file, path) != _PROTOCOL:
            raise InputError(f"{path}: not a file of torch.save")
        system = _expect(_interpret(file, path), dict)
        if system.get("little_endian") is not True:
            raise InputError(f"{path}: written on a big-endian machine; save it again elsewhere")
        seen: dict[str, _Storage] = {}
        tensors = _tensors(_interpret(file, path, seen), path, wanted)
        needed = {tensor.storage.key for tensor in tensors.values()}
        storages: dict[str, np.ndarray] = {}
        for key in _interpret(file, path):
            dtype = np.dtype(seen[key].dtype).newbyteorder("<")
            count = int.from_bytes(_exactly(file, 8), "little", signed=True)
            if count != seen[key].count:
                raise ValueError(f"storage {key} has {count} elements, not {seen[key].count}")
            if key in needed:
                data = _exactly(file, count * dtype.itemsize)
                storages[key] = np.frombuffer(data, dtype)
            else:
                file.seek(count * dtype.itemsize, 1)
        if file.tell() > path.stat().st_size:
            raise EOFError("the file ends too early")
        return {name: _values(tensor, storages) for name, tensor in tensors.items()}


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size) if size >= 0 else b""
    if len(data) != size:
        raise EOFError("the file ends too early")
    return data


def _tensors(root: Any, path: Path, wanted: Callable[[str], bool]) -> dict[str, _Tensor]:
    """Return the wanted tensors of a state_dict, or of a checkpoint with a 'state_dict'."""
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]
    if not isinstance(root, dict):
        raise InputError(f"{path}: holds a {type(root).__name__}, not a state_dict of tensors")
    return {
        name: value
        for name, value in root.items()
        if isinstance(name, str) and isinstance(value, _Tensor) and wanted(name)
    }


def _values(tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    """Return a tensor's elements, gathered by its offset and strides (both count elements)."""
    storage = storages[tensor.storage.key]
    first = tensor.storage.start + tensor.offset
    dtype = storage.dtype.newbyteorder("=")
    if math.prod(tensor.shape) == 0:
        return np.zeros(tensor.shape, dtype)
    last = first + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if last >= storage.size or math.prod(tensor.shape) > _MAX_ELEMENTS:
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[first:], tensor.shape, strides, writeable=False)
    return np.array(view, dtype, order="C")


def _interpret(file: IO[bytes], path: Path, seen: dict[str, _Storage] | None = None) -> Any:
    """Run one pickle in a machine that knows only containers, numbers, strings and tensors.

    Args:
        file: A file at the start of the pickle; it is left at the end.
        path: The file, for messages.
        seen: Receives each storage by key.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def to_mark() -> list[Any]:
        position = max(i for i, value in enumerate(stack) if isinstance(value, _Mark))
        items = stack[position + 1 :]
        del stack[position:]
        return items

    for opcode, operand, _ in pickletools.genops(file):
        name = opcode.name
        argument: Any = operand
        if name in _IGNORED:
            continue
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "STOP":
            return stack.pop()
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name == "TUPLE":
            stack.append(tuple(to_mark()))
        elif name in _TUPLES:
            size = _TUPLES[name]
            stack[-size:] = [tuple(stack[-size:])]
        elif name in ("APPEND", "APPENDS"):
            items = to_mark() if name == "APPENDS" else [stack.pop()]
            _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _expect(stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))
        elif name == "BUILD":
            stack.pop()  # attributes of the dictionary (_metadata), which are no weights
            _expect(stack[-1], dict)
        elif name == "GLOBAL":
            stack.append(_global(argument.replace(" ", "."), path))
        elif name == "STACK_GLOBAL":
            attribute, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
            stack.append(_global(f"{module}.{attribute}", path))
        elif name == "BINPERSID":
            storage = _storage(stack.pop())
            if seen is not None:
                seen[storage.key] = storage
            stack.append(storage)
        elif name == "REDUCE":
            arguments = _expect(stack.pop(), tuple)
            stack.append(_call(_expect(stack.pop(), _Global), arguments, path))
        else:
            raise InputError(
                f"{path}: refused: its pickle uses {name}, which no state_dict of tensors needs"
            )
    raise EOFError("the pickle has no end")


_IGNORED = {"PROTO", "FRAME"}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _global(name: str, path: Path) -> _Global:
    module, _, attribute = name.rpartition(".")
    if name in _FUNCTIONS or (module == "torch" and attribute in _STORAGES):
        return _Global(name)
    raise InputError(
        f"{path}: refused: its pickle names {name}; only a state_dict of ordinary tensors is read: "
        "save model.state_dict()"
    )


def _storage(identifier: Any) -> _Storage:
    """Return a storage from ('storage', type, key, device, count[, (view key, start, size)])."""
    kind, storage_type, key, _, count, *view = _expect(identifier, tuple)
    dtype = _STORAGES.get(_expect(storage_type, _Global).name.removeprefix("torch."))
    start = view[0][1] if view and view[0] is not None else 0
    if kind != "storage" or dtype is None or not _naturals((count, start)):
        raise ValueError(f"an unknown storage {identifier}")
    return _Storage(dtype, str(key), count, start)


def _naturals(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(v) is int and v >= 0 for v in values)


def _call(function: _Global, arguments: tuple[Any, ...], path: Path) -> Any:
    """Do what an allowed function would do; the function itself is never looked up or called."""
    if function.name == "collections.OrderedDict":
        return dict(*arguments)
    if function.name == "torch._utils._rebuild_parameter":
        return _expect(arguments[0], _Tensor)
    if function.name.startswith("torch._utils._rebuild_tensor"):
        storage, offset, shape, strides = arguments[:4]
        if not (_naturals((offset,)) and _naturals(shape) and _naturals(strides)):
            raise ValueError("a tensor with an impossible shape")
        return _Tensor(_expect(storage, _Storage), offset, shape, strides)
    raise InputError(f"{path}: refused: its pickle calls {function.name}")
