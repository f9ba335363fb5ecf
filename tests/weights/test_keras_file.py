"""Keras files: arrays of this file alone, of the size of kernels."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hcft_jax.util.errors import InputError
from hcft_jax.weights import keras_file

KERNEL, BIAS = np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2), np.ones(2, np.float32)


def elsewhere(folder: Path) -> Path:
    """Another file with a kernel, which must not become a part of this one."""
    path = folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["k"] = KERNEL
    return path


def _plain(group: h5py.Group, folder: Path) -> None:
    group["kernel:0"] = KERNEL


def _compressed(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("kernel:0", data=KERNEL, compression="gzip", shuffle=True, fletcher32=True)


def _external(group: h5py.Group, folder: Path) -> None:
    group["kernel:0"] = h5py.ExternalLink(str(elsewhere(folder)), "/k")


def _pipe(group: h5py.Group, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    group["kernel:0"] = h5py.ExternalLink(str(folder / "pipe"), "/k")


def _soft(group: h5py.Group, folder: Path) -> None:
    group.file["other"] = h5py.ExternalLink(str(elsewhere(folder)), "/k")
    group["kernel:0"] = h5py.SoftLink("/other")


def _raw(group: h5py.Group, folder: Path) -> None:
    (folder / "raw").write_bytes(KERNEL.tobytes())
    place = [(str(folder / "raw"), 0, KERNEL.nbytes)]
    group.create_dataset("kernel:0", KERNEL.shape, "f4", external=place)


def _virtual(group: h5py.Group, folder: Path) -> None:
    layout = h5py.VirtualLayout(KERNEL.shape, "f4")
    layout[...] = h5py.VirtualSource(str(elsewhere(folder)), "k", KERNEL.shape)
    group.create_virtual_dataset("kernel:0", layout)


def _endless(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("kernel:0", (10**12,), "f4", chunks=(1000,))


def _bomb(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("kernel:0", (1 << 28,), "f4", chunks=(1 << 20,), compression="gzip")


def _chunk(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("kernel:0", (8,), "f4", chunks=(1 << 28,), maxshape=(None,))


def _pieces(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("kernel:0", (1 << 20,), "f4", chunks=(1,))


def _whole(group: h5py.Group, folder: Path) -> None:
    group["kernel:0"] = KERNEL.astype(int)


def _texts(group: h5py.Group, folder: Path) -> None:
    group["kernel:0"] = ["a", "b"]


def _nothing(group: h5py.Group, folder: Path) -> None:
    group["kernel:0"] = h5py.Empty("f4")


def _rare(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("kernel:0", data=KERNEL, compression="lzf")


def _itself(group: h5py.Group, folder: Path) -> None:
    group["kernel:0"] = group


def _wide(group: h5py.Group, folder: Path) -> None:
    group.attrs["weight_names"] = np.array([b"x"] * 6000)
    group["kernel:0"] = KERNEL


def _absent(group: h5py.Group, folder: Path) -> None:
    group.attrs["weight_names"] = [b"kernel:0", b"../bias:0"]
    group["kernel:0"] = KERNEL


def write(folder: Path, kernel: Callable[[h5py.Group, Path], None]) -> Path:
    path = folder / "w.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("conv")
        group["bias:0"] = BIAS
        kernel(group, folder)
    return path


@pytest.mark.parametrize("kernel", [_plain, _compressed])
def test_the_arrays_of_wanted_groups_are_read(
    tmp_path: Path, kernel: Callable[[h5py.Group, Path], None]
) -> None:
    names, arrays = keras_file.read(write(tmp_path, kernel), ["conv", "absent"])
    assert names == ["conv"]
    assert set(arrays) == {"conv/kernel", "conv/bias"}
    np.testing.assert_array_equal(arrays["conv/kernel"], KERNEL, strict=True)
    np.testing.assert_array_equal(arrays["conv/bias"], BIAS, strict=True)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (_external, "refused, /conv/kernel:0 is a link"),
        (_pipe, "refused, /conv/kernel:0 is a link"),
        (_soft, "refused, /conv/kernel:0 is a link"),
        (_raw, "refused, /conv/kernel:0 has its numbers in another file"),
        (_virtual, "refused, /conv/kernel:0 has its numbers in another file"),
        (_endless, "too large"),
        (_bomb, "too large"),
        (_chunk, "too large"),
        (_pieces, "in too many pieces"),
        (_whole, "int64, not floating point"),
        (_texts, "not floating point"),
        (_nothing, "not floating point"),
        (_rare, "compressed in an unusual way"),
        (_itself, "/conv has [1-9] arrays, not a kernel"),
        (_wide, "/conv lists too many arrays"),
        (_absent, r"no \.\./bias:0 in /conv"),
    ],
)
def test_what_is_no_kernel_of_this_file_is_refused(
    tmp_path: Path, kernel: Callable[[h5py.Group, Path], None], message: str
) -> None:
    path = write(tmp_path, kernel)
    with pytest.raises(InputError, match=rf"w\.h5: .*{message}"):
        keras_file._read(path, ["conv"])


def test_a_refusal_in_the_other_process_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"w\.h5: refused, /conv/kernel:0 is a link"):
        keras_file.read(write(tmp_path, _external), ["conv"])


def test_a_damaged_file_is_an_error_about_it(tmp_path: Path) -> None:
    path = write(tmp_path, _plain)
    content = path.read_bytes()
    path.write_bytes(content[:100] + os.urandom(400) + content[500:])
    with pytest.raises(InputError, match=r"w\.h5: "):
        keras_file.read(path, ["conv"])
