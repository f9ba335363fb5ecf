"""Reads the arrays of a Keras file (HDF5), in a process of its own.

Only what a file of weights needs is read: arrays of floating-point numbers, in this file, of the
size of a kernel (``hdf5``).
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from hcft_jax.util import apart, hdf5, npz, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown

NAMES = "names"  # the key of the names of groups; those of arrays are <group>/kernel, <group>/bias

_NAMED = 8  # groups that an error names
_LISTED = 4096  # arrays of a group
_ATTRIBUTE = 1 << 16  # bytes


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
            if "model_weights" in hdf5.names(path, file):  # a whole saved model
                root = _group(path, file, "model_weights")
            names = hdf5.names(path, root)
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


def _group(path: Path, root: h5py.Group, name: str) -> h5py.Group:
    found = hdf5.member(path, root, name)
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
    for name in hdf5.names(path, group):
        member = hdf5.member(path, group, name)
        if isinstance(member, h5py.Dataset):
            found.append(name)
        elif depth and isinstance(member, h5py.Group):
            found += [f"{name}/{inner}" for inner in _below(path, member, depth - 1)]
        if len(found) > 2:
            break
    return found


def _array(path: Path, group: h5py.Group, name: str) -> np.ndarray:
    data = hdf5.member(path, group, name)
    if not isinstance(data, h5py.Dataset) or data.shape is None or data.dtype.kind != "f":
        kind = data.dtype if isinstance(data, h5py.Dataset) else "a group"
        raise InputError(f"{path}: {data.name} is {kind}, not floating point numbers")
    return hdf5.values(path, data)


if __name__ == "__main__":
    sys.exit(apart.answer(_read))
