"""Reads variables of a MATLAB 7.3 file (``save -v7.3``), which is HDF5, in a process of its own.

Arrays have their axes in reverse; cells, and fields of struct arrays, are references. The values
are those of ``matlab``; on the way between the processes they are arrays and a tree in JSON.
"""

import json
import math
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hcft_jax.util import apart, hdf5, npz, opening
from hcft_jax.util.errors import InputError

TREE = "tree"  # the key of the tree; those of arrays are their numbers

_VALUES = 20_000  # of all kinds, one within the other: each takes some time
_DEPTH = 32
_CHARACTERS = 1 << 20
_SLACK, _RATIO = 64 << 20, 20  # bytes of the variables by those of the file, as in ``matlab``
_NUMBERS = (
    "double",
    "single",
    "logical",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
)


def read(path: Path, names: Collection[str]) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the tree of the named variables of a file that it has, and the arrays in it.

    A node is ``["numbers", key]``, ``["text", value]``, ``["cell", nodes]``, ``["struct", [{name:
    node}]]``, or None for anything else.

    Args:
        path: The file.
        names: The variables; others are skipped.

    Raises:
        InputError: It is damaged, leads to other files or is too large.
    """
    found = apart.arrays("hcft_jax.util.matlab_hdf5", path, sorted(names))
    return json.loads(bytes(found.pop(TREE))), found


def _read(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with opening.regular(path, opening.WEIGHTS) as whole:
            size = whole.seek(0, 2)
        with h5py.File(path, "r") as file:
            reader = _Tree(path, file, min(npz.MOST, _SLACK + _RATIO * size))
            present = [name for name in hdf5.names(path, file) if name in wanted]
            tree = {name: reader.node(hdf5.member(path, file, name), 0) for name in present}
            text = json.dumps(tree).encode()
            return {TREE: np.frombuffer(text, np.uint8), **reader.arrays}
    except InputError:
        raise
    # h5py reports a damaged file by any of these, depending on the spot
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise npz.damaged(path, error) from error


class _Tree:
    def __init__(self, path: Path, file: h5py.File, bytes_left: int):
        self._path, self._file = path, file
        self._bytes_left, self._values_left = bytes_left, _VALUES
        self.arrays: dict[str, np.ndarray] = {}

    def node(self, member: Any, depth: int) -> Any:
        """Return the node of a variable, or of a value in one."""
        self._values_left -= 1
        if self._values_left < 0 or depth > _DEPTH:
            raise ValueError("too many values, one within the other")
        kind = member.attrs.get("MATLAB_class", b"")
        kind = kind.decode("latin-1") if isinstance(kind, bytes) else str(kind)
        if isinstance(member, h5py.Group):
            sparse = "MATLAB_sparse" in member.attrs
            return None if sparse or kind not in ("struct", "") else self._struct(member, depth)
        if not isinstance(member, h5py.Dataset) or member.shape is None:
            return None
        if member.dtype.itemsize * math.prod(member.shape) > hdf5.BYTES:
            return None  # a classifier, many times as large as what is wanted of a network
        empty = bool(member.attrs.get("MATLAB_empty", 0))
        values = self._values(member)
        if empty:  # the values are the lengths of the axes
            shape = tuple(int(n) for n in values.ravel())
            if math.prod(shape) or len(shape) > _DEPTH:
                raise ValueError("an empty array that is not empty")
            values = np.zeros(shape[::-1], np.float64)
        if kind == "cell":
            return ["cell", [] if empty else self._referred(values, depth)]
        if kind == "char":
            return ["text", self._text(values)]
        if kind == "struct":  # an empty one
            return ["struct", []]
        if kind in _NUMBERS and values.dtype.kind in "fiub":
            key = str(len(self.arrays))
            self.arrays[key] = np.ascontiguousarray(values.T)
            return ["numbers", key]
        if kind in _NUMBERS:
            raise ValueError(f"an array of {values.dtype}")
        return None

    def _values(self, member: h5py.Dataset) -> np.ndarray:
        found = hdf5.values(self._path, member, min(hdf5.BYTES, self._bytes_left))
        self._bytes_left -= found.nbytes
        return found

    def _referred(self, values: np.ndarray, depth: int) -> list[Any]:
        """Return the nodes that references lead to, column by column."""
        if values.dtype != h5py.ref_dtype or values.size > self._values_left:
            raise ValueError("a cell that has no values")
        # a reference leads to a place in this file, and its name to no other one
        return [self.node(self._file[reference], depth + 1) for reference in values.ravel()]

    def _struct(self, group: h5py.Group, depth: int) -> Any:
        fields: dict[str, list[Any]] = {}
        for name in hdf5.names(self._path, group):
            member = hdf5.member(self._path, group, name)
            several = isinstance(member, h5py.Dataset) and member.dtype == h5py.ref_dtype
            if several and "MATLAB_class" not in member.attrs:
                fields[name] = self._referred(self._values(member), depth)
            else:
                fields[name] = [self.node(member, depth + 1)]
        count = max(map(len, fields.values()), default=1)
        if any(len(nodes) != count for nodes in fields.values()):
            raise ValueError("a struct whose fields are not all of one size")
        return ["struct", [{n: nodes[i] for n, nodes in fields.items()} for i in range(count)]]

    def _text(self, values: np.ndarray) -> str:
        if values.size > _CHARACTERS:
            raise ValueError("a text")
        codes = values.astype(np.uint16) if values.size else np.zeros(0, np.uint16)
        return np.ascontiguousarray(codes.T).tobytes().decode("utf-16-le", "replace")


if __name__ == "__main__":
    sys.exit(apart.answer(_read))
