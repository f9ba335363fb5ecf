"""Interprets the pickle of a ``state_dict`` of PyTorch; nothing in it is ever executed.

The pickle's opcodes are interpreted (``pickletools.genops`` only decodes them): a few opcodes that
build containers, and four named functions whose meaning is implemented below. Anything else is
refused by name, so that no code of the file can run.
"""

import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown

# Bounds far above real files: a pickle of a thousand tensors has 0.2 MB and 50,000 operations.
_PICKLE = 16 << 20  # bytes
_OPERATIONS = 1_000_000
_AXES = 16  # of a tensor

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
class TorchStorage:
    """A storage that a pickle names: its numbers are elsewhere in the file.

    Attributes:
        dtype: Of its numbers, without their byte order.
        key: Its name in the file.
        count: How many there are.
        start: The first element of a view into it (legacy files).
    """

    dtype: str
    key: str
    count: int
    start: int


@dataclass(frozen=True)
class TorchTensor:
    """A tensor over a storage; offset and strides count elements."""

    storage: TorchStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class BoundedPickle:
    """What ``pickletools`` needs of a file, of which a bounded part is read."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read ``file`` from here on."""
        self._file, self._left = file, _PICKLE

    def tell(self) -> None:
        """Return no position, which is for messages only."""

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end; ValueError: they are too many."""
        if not 0 <= size <= self._left:
            raise ValueError("a pickle is too large for tensors' names and shapes")
        self._left -= size
        return self._file.read(size)

    def readline(self) -> bytes:
        """Return the rest of the line; ValueError: it has an escape, which no name has."""
        line = self._file.readline(self._left)
        self._left -= len(line)
        if b"\\" in line:  # Python warns of some, in whatever file they are
            raise ValueError("an escape in a name")
        return line


def interpret(file: BoundedPickle, path: Path, seen: dict[str, TorchStorage] | None = None) -> Any:
    """Run one pickle in a machine that knows only containers, numbers, strings and tensors.

    What a pickle nests is never looked into, hashed, compared or printed: each costs time that is
    exponential in the size of the file, or recursion without an end.

    Args:
        file: A file at the start of the pickle; it is left at the end.
        path: The file, for messages.
        seen: Receives each storage by key.
    """
    stack: list[Any] = []
    marks: list[int] = []  # places in the stack
    memo: dict[int, Any] = {}
    left = _OPERATIONS

    def to_mark() -> list[Any]:
        position = marks.pop()
        items = stack[position:]
        del stack[position:]
        return items

    for opcode, operand, _ in pickletools.genops(cast(IO[bytes], file)):
        left -= 1
        if left < 0:
            raise ValueError("a pickle of too many operations")
        name = opcode.name
        argument: Any = operand
        if name in _IGNORED:
            continue
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "MARK":
            marks.append(len(stack))
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
            expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _put(expect(stack[-1], dict), zip(items[::2], items[1::2], strict=True))
        elif name == "BUILD":
            stack.pop()  # attributes of the dictionary (_metadata), which are no weights
            expect(stack[-1], dict)
        elif name == "GLOBAL":
            stack.append(_global(argument.replace(" ", "."), path))
        elif name == "STACK_GLOBAL":
            attribute, module = expect(stack.pop(), str), expect(stack.pop(), str)
            stack.append(_global(f"{module}.{attribute}", path))
        elif name == "BINPERSID":
            storage = _storage(stack.pop())
            if seen is not None:
                seen[storage.key] = storage
            stack.append(storage)
        elif name == "REDUCE":
            arguments = expect(stack.pop(), tuple)
            if arguments and isinstance(arguments[0], list):
                left -= len(arguments[0])
            stack.append(_call(expect(stack.pop(), _Global), arguments, path))
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
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def expect(value: Any, kind: type) -> Any:
    """Return a value of a kind; ValueError: it is of another."""
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _put(into: dict[Any, Any], pairs: Iterable[Any]) -> None:
    """Add pairs to a dictionary, whose keys must be plain: a tuple's hash is that of all in it."""
    for key, value in pairs:
        if not isinstance(key, str | int | float | None):
            raise ValueError(f"a {type(key).__name__} for a key")
        into[key] = value


def plain_key(key: Any) -> str:
    """Return the key of a storage."""
    if not isinstance(key, str | int):
        raise ValueError(f"a {type(key).__name__} for a storage's key")
    return str(key)


def _global(name: str, path: Path) -> _Global:
    module, _, attribute = name.rpartition(".")
    if name in _FUNCTIONS or (module == "torch" and attribute in _STORAGES):
        return _Global(name)
    raise InputError(
        f"{path}: refused: its pickle names {shown(name)}; only a state_dict of ordinary tensors "
        "is read: save model.state_dict()"
    )


def _storage(identifier: Any) -> TorchStorage:
    """Return a storage from ('storage', type, key, device, count[, (view key, start, size)])."""
    if len(expect(identifier, tuple)) not in (5, 6):
        raise ValueError("an unknown storage")
    kind, storage_type, key, _, count, *view = identifier
    dtype = _STORAGES.get(expect(storage_type, _Global).name.removeprefix("torch."))
    start = expect(view[0], tuple)[1] if view and view[0] is not None else 0
    if kind != "storage" or dtype is None or not _naturals((count, start)):
        raise ValueError("an unknown storage")
    return TorchStorage(dtype, plain_key(key), count, start)


def _naturals(values: Any) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) <= _AXES
        and all(type(v) is int and 0 <= v < 2**63 for v in values)
    )


def _call(function: _Global, arguments: tuple[Any, ...], path: Path) -> Any:
    """Do what an allowed function would do; the function itself is never looked up or called."""
    if function.name == "collections.OrderedDict":
        made: dict[Any, Any] = {}
        if arguments:  # by Python 2: a list of lists of two
            (pairs,) = arguments
            _put(made, expect(pairs, list))
        return made
    if function.name == "torch._utils._rebuild_parameter":
        return expect(arguments[0], TorchTensor)
    if function.name.startswith("torch._utils._rebuild_tensor"):
        storage, offset, shape, strides = arguments[:4]
        if not (_naturals((offset,)) and _naturals(shape) and _naturals(strides)):
            raise ValueError("a tensor with an impossible shape")
        return TorchTensor(expect(storage, TorchStorage), offset, shape, strides)
    raise InputError(f"{path}: refused: its pickle calls {function.name}")
