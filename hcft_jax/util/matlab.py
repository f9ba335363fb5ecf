"""Reads variables of a MATLAB 5 file (``save -v6`` and ``-v7``), also a damaged or hostile one.

A file of MATLAB 7.3 is HDF5, and read by ``matlab_hdf5``; its values are the same.

SciPy's reader is compiled code that trusts what a file says: a single wrong byte can end the whole
process, and a small file can take all memory. The format is simple enough to check everything
before it is used (MathWorks, "MAT-File Format"): a header of 128 bytes, then elements of a type, a
size and that many bytes; arrays are elements of elements.

======================  ==========================================================
MATLAB                  here
======================  ==========================================================
numbers, also logical   an array of their class, all axes, in the machine's order
characters              a ``str``, the rows of a matrix one after the other
cell                    ``MatlabCell``, its values column by column
struct, object          ``MatlabStruct``, the fields of its elements column by column
anything else           None (sparse matrices, functions)
======================  ==========================================================
"""

import math
import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError

MOST = 1 << 30  # bytes of a file's wanted variables: VGG-19 has 0.6 GB
RATIO = 20  # how many times larger than its file a variable may be, besides 64 MiB

_SLACK = 64 << 20
_VARIABLES = 10_000
_VALUES = 200_000  # of all kinds, one within the other
_DEPTH = 32
_AXES = 32
_CHARACTERS = 1 << 20
_NAMES = 1 << 16  # bytes of the fields' names
_HEADER = 128
_BLOCK = 1 << 20
_PEEK = 4096  # bytes that have a variable's class, shape and name

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_CLASSES = {
    **{6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2"},
    **{12: "i4", 13: "u4", 14: "i8", 15: "u8"},
}
_COMPLEX = 0x800


class MatlabCell(NamedTuple):
    """A cell array: its values, column by column."""

    values: "list[Value]"


class MatlabStruct(NamedTuple):
    """A struct array: the fields of each element, column by column."""

    elements: "list[dict[str, Value]]"


Value: TypeAlias = np.ndarray | str | MatlabCell | MatlabStruct | None


def read(path: Path, most: int, names: Collection[str]) -> dict[str, Value]:
    """Return the named variables of a file that it has.

    Args:
        path: The file.
        most: The most bytes that the file may have.
        names: The variables; others are skipped.

    Raises:
        InputError: It is damaged, or too large.
        OSError: It cannot be opened.
    """
    try:
        with opening.regular(path, most) as file:
            if is_hdf5(file.read(_HEADER)):
                from hcft_jax.util import matlab_hdf5  # loads HDF5, which few files need

                tree, arrays = matlab_hdf5.read(path, names)
                return {name: _of_tree(node, arrays) for name, node in tree.items()}
            return dict(_Reader(path, file, names).variables())
    except InputError:
        raise
    except (ValueError, IndexError, OverflowError, MemoryError, zlib.error) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as a MATLAB file, truncated or damaged ({reason})"
        ) from error


def is_hdf5(header: bytes) -> bool:
    """Tell whether a file of MATLAB is HDF5 (``-v7.3``).

    Args:
        header: Its first 128 bytes.
    """
    return header.startswith(b"MATLAB 7.3") or header[124:128] in (b"\0\2IM", b"\2\0MI")


def _of_tree(node: Any, arrays: dict[str, np.ndarray]) -> Value:
    """Return the value of a node of ``matlab_hdf5``."""
    if node is None:
        return None
    kind, inside = node
    if kind == "numbers":
        return arrays[inside]
    if kind == "text":
        return str(inside)
    if kind == "cell":
        return MatlabCell([_of_tree(one, arrays) for one in inside])
    return MatlabStruct([{n: _of_tree(v, arrays) for n, v in one.items()} for one in inside])


class _Inflater:
    """The content of a compressed element, in the order of the file."""

    def __init__(self, file: IO[bytes], length: int):
        self._file, self._left = file, length
        self._stream = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer where the content ends."""
        parts = []
        while size and not self._stream.eof:
            packed = self._stream.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_BLOCK, self._left))
                self._left -= len(packed)
            parts.append(self._stream.decompress(packed, size))
            if not packed and not parts[-1]:
                raise ValueError("a compressed variable ends too early")
            size -= len(parts[-1])
        return b"".join(parts)


class _Element(NamedTuple):
    kind: int
    content: memoryview
    after: int  # where the next one begins


@dataclass
class _Reader:
    """A file of variables, and how much may still be read of it."""

    path: Path
    file: IO[bytes]
    names: Collection[str]
    order: str = "<"
    bytes_left: int = 0
    values_left: int = _VALUES

    def variables(self) -> Iterator[tuple[str, Value]]:
        """Yield name and value of the wanted variables."""
        size = self.file.seek(0, os.SEEK_END)
        self.file.seek(0)
        self.bytes_left = min(MOST, _SLACK + RATIO * size)
        header = self.file.read(_HEADER)
        if header[126:] not in (b"IM", b"MI"):
            raise ValueError("no header of MATLAB 5")
        self.order = "<" if header[126:] == b"IM" else ">"
        version = header[125 if self.order == "<" else 124]
        if version != 1:
            raise ValueError(f"version {version} of the format")
        start = _HEADER
        for _ in range(_VARIABLES):
            if start == size:
                return
            self.file.seek(start)
            kind, length = self._tag(self.file.read(8))
            if kind not in (_MATRIX, _COMPRESSED) or start + 8 + length > size:
                raise ValueError(f"an element of type {kind} and {length} bytes")
            name = self._name(self._variable(kind, length, _PEEK))
            if name is not None and name in self.names:
                self.file.seek(start + 8)
                yield name, self._value(self._variable(kind, length, None), 0)
            start += 8 + length
        raise ValueError("too many variables")

    def _tag(self, content: bytes | memoryview) -> tuple[int, int]:
        kind, length = (int(n) for n in np.frombuffer(content, f"{self.order}u4", 2))
        return kind, length

    def _variable(self, kind: int, length: int, most: int | None) -> memoryview:
        """Return the content of a variable from here on, or its first bytes."""
        if kind == _MATRIX:
            wanted = length if most is None else min(length, most)
            self._spend(wanted)
            return memoryview(self.file.read(wanted))
        inflater = _Inflater(self.file, length)
        kind, inside = self._tag(inflater.read(8))
        if kind != _MATRIX:
            raise ValueError(f"a compressed element of type {kind}")
        wanted = inside if most is None else min(inside, most)
        self._spend(wanted)
        content = bytearray(wanted)
        done = 0
        while done < wanted:
            block = inflater.read(min(_BLOCK, wanted - done))
            if not block:
                raise ValueError("a compressed variable ends too early")
            content[done : done + len(block)] = block
            done += len(block)
        if most is None and inflater.read(8):  # to the end, where the checksum is
            raise ValueError("a compressed variable goes on after its array")
        return memoryview(content)

    def _spend(self, size: int) -> None:
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise InputError(f"{self.path}: its variables are too large for a file of its size")

    def _element(self, content: memoryview, at: int) -> _Element:
        """Return the element at a place, which may be one of at most four bytes in eight."""
        kind, length = self._tag(content[at : at + 8])
        if kind >> 16:
            kind, length = kind & 0xFFFF, kind >> 16
            if length > 4:
                raise ValueError("a short element is too long")
            return _Element(kind, content[at + 4 : at + 4 + length], at + 8)
        inside = content[at + 8 : at + 8 + length]
        if len(inside) != length:
            raise ValueError("an element ends too early")
        return _Element(kind, inside, at + 8 + -(-length // 8) * 8)

    def _integers(self, element: _Element, kind: int, most: int) -> list[int]:
        if element.kind != kind or len(element.content) > 4 * most or len(element.content) % 4:
            raise ValueError("a header of an array")
        dtype = f"{self.order}{_NUMBERS[kind]}"
        return [int(n) for n in np.frombuffer(element.content, dtype)]

    def _name(self, content: memoryview) -> str | None:
        """Return a variable's name; None: it has none of ours."""
        at = self._element(content, 0).after
        if self._flags(content) & 0xFF == _OPAQUE:
            return None
        name = self._element(content, self._element(content, at).after)
        return bytes(name.content).decode("latin-1")

    def _flags(self, content: memoryview) -> int:
        flags = self._integers(self._element(content, 0), 6, 2)
        if len(flags) != 2:
            raise ValueError("a header of an array")
        return flags[0]

    def _value(self, content: memoryview, depth: int) -> Value:
        """Return the value of an array from its content."""
        self.values_left -= 1
        if self.values_left < 0 or depth > _DEPTH:
            raise ValueError("too many values, one within the other")
        if not content:
            return np.zeros((0, 0))
        flags = self._flags(content)
        kind = flags & 0xFF
        if kind in (_SPARSE, _FUNCTION, _OPAQUE):
            return None
        shaped = self._element(content, self._element(content, 0).after)
        shape = tuple(self._integers(shaped, 5, _AXES))
        if len(shape) < 2 or min(shape) < 0:
            raise ValueError(f"an array of shape {shape}")
        at = self._element(content, shaped.after).after
        if kind == _CELL:
            return MatlabCell(list(self._values(content, at, math.prod(shape), depth)))
        if kind in (_STRUCT, _OBJECT):
            return self._struct(content, at, math.prod(shape), kind == _OBJECT, depth)
        if kind == _CHAR:
            return self._text(self._element(content, at), shape)
        if kind in _CLASSES and not flags & _COMPLEX:
            return self._numbers(self._element(content, at), shape, _CLASSES[kind])
        raise ValueError(
            f"an array of class {kind}{' of complex numbers' * (flags // _COMPLEX % 2)}"
        )

    def _values(self, content: memoryview, at: int, count: int, depth: int) -> Iterator[Value]:
        """Yield the values of the arrays at a place, one after the other."""
        for _ in range(count):
            element = self._element(content, at)
            if element.kind != _MATRIX:
                raise ValueError(f"an element of type {element.kind} where an array belongs")
            yield self._value(element.content, depth + 1)
            at = element.after

    def _struct(
        self, content: memoryview, at: int, count: int, of_class: bool, depth: int
    ) -> MatlabStruct:
        if of_class:
            at = self._element(content, at).after
        sized = self._element(content, at)
        (size,) = self._integers(sized, 5, 1) or [0]
        listed = self._element(content, sized.after)
        if size < 1 or len(listed.content) % size or len(listed.content) > _NAMES:
            raise ValueError("the names of fields")
        text = bytes(listed.content)
        names = [
            text[i : i + size].split(b"\0")[0].decode("latin-1") for i in range(0, len(text), size)
        ]
        self.values_left -= count  # also where they have no fields
        if self.values_left < 0:
            raise ValueError("too many values")
        values = self._values(content, listed.after, count * len(names), depth)
        return MatlabStruct([{name: next(values) for name in names} for _ in range(count)])

    def _text(self, element: _Element, shape: tuple[int, ...]) -> str:
        if math.prod(shape) > _CHARACTERS or element.kind not in _TEXTS:
            raise ValueError("a text")
        encoding = _TEXTS[element.kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.order == "<" else "-be"
        if len(element.content) > 4 * _CHARACTERS:
            raise ValueError("a text")
        text = bytes(element.content).decode(encoding)
        rows = shape[0]
        if rows <= 1:
            return text
        if len(text) != math.prod(shape):
            raise ValueError(f"a text of {len(text)} characters and shape {shape}")
        return "".join(text[row::rows] for row in range(rows))

    def _numbers(self, element: _Element, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        stored = np.dtype(f"{self.order}{_NUMBERS.get(element.kind, 'V0')}")
        if not stored.itemsize or math.prod(shape) * stored.itemsize != len(element.content):
            raise ValueError(f"numbers of type {element.kind} and shape {shape}")
        values = np.frombuffer(element.content, stored)
        # whole numbers are stored in the smallest type that holds them
        if dtype[0] == "f" or values.dtype.kind in "iu":
            wanted = np.dtype(dtype)
        else:
            raise ValueError("fractions in an array of whole numbers")
        if wanted != stored:
            self._spend(math.prod(shape) * wanted.itemsize)
            with np.errstate(over="ignore", invalid="ignore"):
                values = values.astype(wanted)
        return values.reshape(shape, order="F")
