"""Arrays of .npz files: what NumPy would give, or an error, and never more than the file has."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.util import npz
from hcft_jax.util.errors import InputError
from tests import damage

ARRAYS: dict[str, Any] = {
    "a/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "text": np.array("metadata"),
    "none": np.zeros((0, 3), np.float16),
    "scalar": np.array(7, ">i2"),
}


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    content = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, content)
    return file.getvalue()


def write(path: Path, member: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", member)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_of_numpy(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, **ARRAYS)
    found = npz.read(path, 1 << 20)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_only_the_named_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **ARRAYS)
    assert list(npz.read(tmp_path / "a.npz", 1 << 20, names=["text"])) == ["text"]
    with pytest.raises(npz.DamagedFile, match="no array other"):
        npz.read(tmp_path / "a.npz", 1 << 20, names=["other"])


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (header("<f4", (10**12,)), "another size than its header"),
        (header("<f4", (2**40, 0, 2**40)), "another size|dimension|too big"),
        (header("<U0", (10**12,)), "values of"),
        (header("<f4", (2,)) + bytes(4), "another size"),
        (header("<f4", (2,)) + bytes(12), "another size"),
        (header("|O", (1,)) + bytes(8), "values of object"),
        (header("|V8", (1,)) + bytes(8), "values of"),
        (b"", "damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "damaged"),
        (b"\x93NUMPY\x03\x00\x02\x00\x00\x00{}", "format"),
    ],
)
def test_a_header_that_lies_is_an_error(tmp_path: Path, member: bytes, message: str) -> None:
    with pytest.raises(npz.DamagedFile, match=message):
        npz.read(write(tmp_path / "a.npz", member), 1 << 20)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_numpy_does_not_write_are_refused(tmp_path: Path, method: int) -> None:
    member = header("<f4", (2,)) + bytes(8)
    with pytest.raises(npz.DamagedFile, match="compression method"):
        npz.read(write(tmp_path / "a.npz", member, method), 1 << 20)


@pytest.mark.parametrize(("place", "value", "message"), [(6, 1, "encrypted"), (8, 99, "method 99")])
def test_encrypted_and_unknown_entries_are_refused(
    tmp_path: Path, place: int, value: int, message: str
) -> None:
    path = write(tmp_path / "a.npz", header("<f4", (2,)) + bytes(8))
    content = bytearray(path.read_bytes())
    content[place] = value  # of the entry itself
    content[content.index(b"PK\x01\x02") + place + 2] = value  # and in the directory
    path.write_bytes(content)
    with pytest.raises(npz.DamagedFile, match=message):
        npz.read(path, 1 << 20)


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header("<f4", (0,)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", header("<f4", (0,)))
    with pytest.raises(npz.DamagedFile, match="two of one name"):
        npz.read(tmp_path / "a.npz", 1 << 20)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    size = 200 << 20
    member = io.BytesIO()
    with (
        zipfile.ZipFile(member, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as file,
    ):
        file.write(header("|u1", (size,)))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    path = tmp_path / "a.npz"
    path.write_bytes(member.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"its arrays have more than 7. MiB"):
            npz.read(path, 1 << 30, ratio=16)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert npz.read(path, 1 << 30)["x"].size == size  # responses may compress as well as this


CONTENT = io.BytesIO()
np.savez(CONTENT, **ARRAYS)


@damage.SETTINGS
@given(content=damage.of(CONTENT.getvalue()))
def test_a_damaged_file_is_an_error_or_has_the_same_values(tmp_path: Path, content: bytes) -> None:
    found = damage.read(tmp_path / "a.npz", content, lambda path: npz.read(path, 1 << 20))
    for name, array in (found or {}).items():
        if name in ARRAYS:  # a name has no checksum
            np.testing.assert_array_equal(array, ARRAYS[name], strict=True)


@damage.SETTINGS
@given(st.binary(max_size=200))
def test_any_header_is_an_error_or_an_array(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a.npz", b"\x93NUMPY\x01\x00" + content)
    damage.read(path, path.read_bytes(), lambda path: npz.read(path, 1 << 20))
