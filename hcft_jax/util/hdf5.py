"""What is read of an HDF5 file: members of this file alone, and arrays of an affordable size.

HDF5 is a small file system: a link or a data set may lead to other files, and what a data set
declares has little to do with the size of the file. Readers run in a process of their own
(``apart``), and use these checks.
"""

import math
from pathlib import Path

import h5py
import numpy as np

from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown

BYTES = 256 << 20
"""The most bytes of an array; VGG-19's largest kernel has 9 MiB."""

_LISTED = 4096  # links of a group
_CHUNKS = 1 << 16
_FILTERS = {1, 2, 3}  # gzip, shuffle, Fletcher's checksum; others may load code


def names(path: Path, group: h5py.Group) -> list[str]:
    """Return the names of a group's members.

    Raises:
        InputError: They are too many.
    """
    if len(group) > _LISTED:
        raise InputError(f"{path}: {group.name} has too many members")
    return [str(name) for name in group]


def member(path: Path, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """Return what a path below a group leads to, where that is in this file.

    Raises:
        InputError: There is no such member, or a link on the way leads elsewhere.
    """
    found = group
    for part in (part for part in name.split("/") if part not in ("", ".")):
        if not isinstance(found, h5py.Group) or part not in names(path, found):
            raise InputError(f"{path}: no {shown(name)} in {group.name}")
        link = found.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{path}: refused, {found.name.rstrip('/')}/{part} is a link to another place or "
                "file; save it in one file"
            )
        found = found[part]
    return found


def values(path: Path, data: h5py.Dataset, most: int = BYTES) -> np.ndarray:
    """Return the values of a data set.

    Args:
        path: The file, for messages.
        data: The data set.
        most: The most bytes that it may have.

    Raises:
        InputError: It has its values in another file, is compressed in an unusual way, too large,
            or in too many pieces.
    """
    layout = data.id.get_create_plist()
    if data.is_virtual or layout.get_external_count():
        raise InputError(
            f"{path}: refused, {data.name} has its numbers in another file; save it in one"
        )
    filters = {layout.get_filter(index)[0] for index in range(layout.get_nfilters())}
    if filters - _FILTERS or layout.get_nfilters() > len(_FILTERS):
        raise InputError(f"{path}: {data.name} is compressed in an unusual way; save it again")
    size = data.dtype.itemsize * math.prod(data.shape)
    chunk = data.chunks or (1,)
    pieces = math.prod(-(-n // max(c, 1)) for n, c in zip(data.shape, chunk, strict=False))
    if size > most or math.prod(chunk) * data.dtype.itemsize > BYTES:
        raise InputError(f"{path}: {data.name} has shape {data.shape}, too large")
    if data.chunks and pieces > _CHUNKS:
        raise InputError(f"{path}: {data.name} is in too many pieces")
    found: np.ndarray = data[()]
    return found
