"""Keras files that are made to lead elsewhere, to grow, or to load code."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from hcft_jax.weights import lookup
from tests import damage
from tests.hostile.kinds import Case, Rng, pick
from tests.hostile.weights import H5, sounds


def _external(group: h5py.Group, folder: Path, name: str) -> None:
    damage.no_file(folder / "pipe", "pipe")
    group[name] = h5py.ExternalLink(str(folder / "pipe"), "/x")


def _soft(group: h5py.Group, folder: Path, name: str) -> None:
    group[name] = h5py.SoftLink("/elsewhere")


def _raw(group: h5py.Group, folder: Path, name: str) -> None:
    (folder / "raw").write_bytes(bytes(4096))
    group.create_dataset(name, (3, 3, 3, 1), "f4", external=[(str(folder / "raw"), 0, 108)])


def _virtual(group: h5py.Group, folder: Path, name: str) -> None:
    layout = h5py.VirtualLayout((3, 3, 3, 1), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (3, 3, 3, 1))
    group.create_virtual_dataset(name, layout)


def _huge(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_dataset(name, (10**6, 10**6), "f4", chunks=(1, 10**6))


def _bomb(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_dataset(name, (1 << 27,), "f4", chunks=(1 << 20,), compression="gzip")


def _pieces(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_dataset(name, (3000, 3000), "f4", chunks=(1, 1))


def _texts(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_dataset(name, data=["a", "b"], dtype=h5py.string_dtype())


def _itself(group: h5py.Group, folder: Path, name: str) -> None:
    group[name] = group


def _group(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_group(name)


def _objects(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_dataset(name, (3,), h5py.ref_dtype)


def _nan(group: h5py.Group, folder: Path, name: str) -> None:
    group.create_dataset(name, data=np.full((3, 3, 3, 1), np.nan, np.float32))


WAYS: tuple[Callable[[h5py.Group, Path, str], None], ...] = (
    *(_external, _soft, _raw, _virtual, _huge, _bomb, _pieces, _texts, _itself, _group),
    *(_objects, _nan),
)


@H5.kind("An array that is a link, elsewhere, huge, no array or no number.")
def arrays(rng: Rng, folder: Path) -> Case:
    path = folder / "2016.h5"
    path.write_bytes(sounds("h5")["2016.h5"])
    with h5py.File(path, "a") as file:
        group = file[f"block{int(rng.integers(1, 3))}_conv1"]
        name = str(pick(rng, list(group)))
        del group[name]
        pick(rng, WAYS)(group, folder, name)
    return Case(lambda: lookup.load(path), lambda _: "it is accepted", (path.name,))


@H5.kind("A list of names that lead elsewhere, are endless, or are no names.")
def names(rng: Rng, folder: Path) -> Case:
    path = folder / "2016.h5"
    path.write_bytes(sounds("h5")["2016.h5"])
    odd = ([b"../x", b"/block1_conv2"], [b""] * 2, [b"x" * 60_000], np.zeros(2), [1.5, 2.5],
           [b"\xff\xfe", b"\0"], [b"a"] * 3000, "text", [b"block1_conv1_W_1:0"] * 2)  # fmt: skip
    with h5py.File(path, "a") as file:
        group = file["block1_conv1"]
        del group.attrs["weight_names"]
        value = pick(rng, odd)
        try:
            group.attrs["weight_names"] = value
        except ValueError:  # HDF5 has no such text
            group.attrs["weight_names"] = []
    return Case(lambda: lookup.load(path), lambda _: "it is accepted", (path.name,))
