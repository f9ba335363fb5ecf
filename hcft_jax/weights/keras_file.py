"""Reads the arrays of a Keras file (HDF5), in a process of its own.

HDF5 is a small file system: a link or a data set may lead to other files, and what a data set
declares has little to do with the size of the file. Only what a file of weights needs is read:
arrays of floating-point numbers, in this file, of the size of a kernel.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from hcft_jax.util import apart, npz, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown

NAMES = "names"  # the key of the names of groups; those of arrays are <group>/kernel, <group>/bias

_NAMED = 8  # groups that an error names
_LISTED = 4096  # links of a group
_BYTES = 256 << 20  # of an array; VGG-19's largest kernel has 9 MiB
_CHUNKS = 1 << 16
_ATTRIBUTE = 1 << 16  # bytes
_FILTERS = {1, 2, 3}  # gzip, shuffle, Fletcher's checksum; others may load code


def read(path: Path, groups: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the names of some groups of a file, and the arrays of those that are wanted.

    Args:
        path: The file.
        groups: The wanted groups, the layers of a network; those that are not there are left out.

    Returns:
        Names, and ``{"<group>/kernel": ..., "<group>/bias": ...}``.

    Raises:
        InputError: The file is damaged, leads to other files or is too large; or a wanted group has
            no kernel and bias.
    """
    found = apart.arrays("hcft_jax.weights.keras_file", path, groups)
    names = found.pop(NAMES, np.zeros(0))
    return [str(name) for name in names], found


def _read(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with opening.regular(path, opening.WEIGHTS):
            pass
        with h5py.File(path, "r") as file:
            root: h5py.Group = file
            if "model_weights" in _names(path, file):  # a whole saved model
                root = _group(path, file, "model_weights")
            names = _names(path, root)
            present = [name for name in wanted if name in names]
            others = [name for name in names if name not in present]
            arrays = {NAMES: np.array([shown(name) for name in (*present, *others[:_NAMED])], "U")}
            for name in present:
                kernel, bias = _layer(path, _group(path, root, name))
                arrays |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
            return arrays
    except InputError:
        raise
    # h5py reports a damaged file by any of these, depending on the spot
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise npz.damaged(path, error) from error


def _names(path: Path, group: h5py.Group) -> list[str]:
    if len(group) > _LISTED:
        raise InputError(f"{path}: {group.name} has too many members for a network")
    return [str(name) for name in group]


def _member(path: Path, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """Return what a path below a group leads to, where that is in this file."""
    found = group
    for part in (part for part in name.split("/") if part not in ("", ".")):
        if not isinstance(found, h5py.Group) or part not in _names(path, found):
            raise InputError(f"{path}: no {shown(name)} in {group.name}")
        link = found.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{path}: refused, {found.name.rstrip('/')}/{part} is a link to another place or "
                "file; save the weights in one file"
            )
        found = found[part]
    return found


def _group(path: Path, root: h5py.Group, name: str) -> h5py.Group:
    found = _member(path, root, name)
    if not isinstance(found, h5py.Group):
        raise InputError(f"{path}: {name} is no group of arrays")
    return found


def _layer(path: Path, group: h5py.Group) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel and bias of a layer: 'block1_conv1_W_1:0' in 2016, '.../kernel:0' later."""
    found = _listed(path, group) if "weight_names" in group.attrs else _below(path, group)
    if len(found) != 2:
        raise InputError(f"{path}: {group.name} has {len(found)} arrays, not a kernel and a bias")
    leaves = [name.rpartition("/")[2] for name in found]
    is_bias = ["bias" in leaf or "_b_" in leaf or leaf.endswith("_b:0") for leaf in leaves]
    if is_bias == [True, False]:
        found.reverse()
    return _array(path, group, found[0]), _array(path, group, found[1])


def _listed(path: Path, group: h5py.Group) -> list[str]:
    attribute = group.attrs.get_id("weight_names")
    if attribute.get_storage_size() > _ATTRIBUTE or math.prod(attribute.shape) > _LISTED:
        raise InputError(f"{path}: {group.name} lists too many arrays")
    names = np.ravel(group.attrs["weight_names"]).tolist()
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _below(path: Path, group: h5py.Group, depth: int = 4) -> list[str]:
    """Return the arrays in a group and the groups in it."""
    found: list[str] = []
    for name in _names(path, group):
        member = _member(path, group, name)
        if isinstance(member, h5py.Dataset):
            found.append(name)
        elif depth and isinstance(member, h5py.Group):
            found += [f"{name}/{inner}" for inner in _below(path, member, depth - 1)]
        if len(found) > 2:
            break
    return found


def _array(path: Path, group: h5py.Group, name: str) -> np.ndarray:
    data = _member(path, group, name)
    if not isinstance(data, h5py.Dataset) or data.shape is None or data.dtype.kind != "f":
        kind = data.dtype if isinstance(data, h5py.Dataset) else "a group"
        raise InputError(f"{path}: {data.name} is {kind}, not floating point numbers")
    layout = data.id.get_create_plist()
    if data.is_virtual or layout.get_external_count():
        raise InputError(
            f"{path}: refused, {data.name} has its numbers in another file; save the weights in one"
        )
    filters = {layout.get_filter(index)[0] for index in range(layout.get_nfilters())}
    if filters - _FILTERS or layout.get_nfilters() > len(_FILTERS):
        raise InputError(f"{path}: {data.name} is compressed in an unusual way; save it again")
    size = data.dtype.itemsize * math.prod(data.shape)
    chunk = data.chunks or (1,)
    pieces = math.prod(-(-n // max(c, 1)) for n, c in zip(data.shape, chunk, strict=False))
    if size > _BYTES or math.prod(chunk) * data.dtype.itemsize > _BYTES:
        raise InputError(f"{path}: {data.name} has shape {data.shape}, too large for a layer")
    if data.chunks and pieces > _CHUNKS:
        raise InputError(f"{path}: {data.name} is in too many pieces")
    values: np.ndarray = data[()]
    return values


if __name__ == "__main__":
    sys.exit(apart.answer(_read))
