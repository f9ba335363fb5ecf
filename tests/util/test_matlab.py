"""MATLAB files: what SciPy reads, or an error; no damage ends the process or takes the memory."""

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.util import matlab
from hcft_jax.util.matlab import MatlabCell, MatlabStruct, Value
from tests import damage
from tests.conftest import shared

MOST = 1 << 30


def cell(*values: Any) -> np.ndarray:
    made = np.empty((1, len(values)), object)
    made[0] = values
    return made


CONTENT: dict[str, Any] = {
    "doubles": np.arange(6.0).reshape(2, 3) / 7,
    "singles": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bytes": np.array([[1, 250]], np.uint8),
    "long": np.array([[-(2**40), 2**40]]),
    "flags": np.array([[True, False]]),
    "text": "conv1_1",
    "rows": np.array(["ab", "cd"]),
    "none": np.zeros((0, 0)),
    "results": cell({"type": "rect", "res": np.ones((2, 4))}, "other", cell(1.5, "x")),
    "struct": {"name": "a", "size": np.array([[224.0, 224.0, 3.0]]), "inner": {"deep": 1.0}},
}


def agrees(ours: Value, theirs: Any) -> bool:
    """Tell whether a value is what SciPy reads."""
    theirs = np.asarray(theirs)
    if isinstance(ours, str):
        return ours == "".join(theirs.ravel().astype(str))
    if isinstance(ours, MatlabCell):
        cells = theirs.ravel(order="F")
        return len(ours.values) == len(cells) and all(map(agrees, ours.values, cells))
    if isinstance(ours, MatlabStruct):
        elements = theirs.ravel(order="F")
        return len(ours.elements) == len(elements) and all(
            set(fields) == set(element.dtype.names)
            and all(agrees(value, element[name]) for name, value in fields.items())
            for fields, element in zip(ours.elements, elements, strict=True)
        )
    return ours is not None and np.array_equal(ours, theirs, equal_nan=True)


def write(path: Path, content: dict[str, Any] = CONTENT, *, compressed: bool = False) -> Path:
    scipy.io.savemat(path, content, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_values_are_those_that_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    path = write(tmp_path / "a.mat", compressed=compressed)
    theirs = scipy.io.loadmat(path)
    found = matlab.read(path, MOST, list(CONTENT))
    assert list(found) == list(CONTENT)
    for name, value in found.items():
        assert agrees(value, theirs[name]), name


def test_files_of_matlab_itself_are_read_as_scipy_does() -> None:
    paths = sorted(shared("published").rglob("*.mat"))[::100]
    assert paths
    for path in paths:
        theirs = scipy.io.loadmat(path)
        names = [name for name in theirs if not name.startswith("__")]
        found = matlab.read(path, MOST, names)
        assert set(found) == set(names)
        assert all(agrees(value, theirs[name]) for name, value in found.items()), path


def test_only_the_named_variables_are_read(tmp_path: Path) -> None:
    assert list(matlab.read(write(tmp_path / "a.mat"), MOST, ["text", "absent"])) == ["text"]


def test_whole_numbers_get_the_class_that_matlab_stored_small(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    flags, shape = struct.pack("<4I", 6, 8, 6, 0), struct.pack("<2I2i", 5, 8, 1, 2)
    name, data = struct.pack("<2I", 1 | 1 << 16, ord("x")), struct.pack("<2I", 2 | 2 << 16, 0xFA01)
    path.write_bytes(head() + element(14, flags + shape + name + data))
    np.testing.assert_array_equal(
        matlab.read(path, MOST, ["x"])["x"], np.array([[1.0, 250.0]]), strict=True
    )


def test_a_file_of_a_big_endian_machine_is_read(tmp_path: Path) -> None:
    header = b"MATLAB 5.0".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    inside = struct.pack(">4I", 6, 8, 6, 0) + struct.pack(">2I2i", 5, 8, 1, 2)
    inside += struct.pack(">I4s", 1 << 16 | 1, b"x") + struct.pack(">2I2d", 9, 16, 1.5, -2)
    (tmp_path / "a.mat").write_bytes(header + struct.pack(">2I", 14, len(inside)) + inside)
    np.testing.assert_array_equal(
        matlab.read(tmp_path / "a.mat", MOST, ["x"])["x"], np.array([[1.5, -2]]), strict=True
    )


def head() -> bytes:
    return b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind: int, shape: tuple[int, ...], *content: bytes, name: bytes = b"x") -> bytes:
    parts = [
        element(6, struct.pack("<2I", kind, 0)),
        element(5, struct.pack(f"<{len(shape)}i", *shape)),
        element(1, name),
        *content,
    ]
    return element(14, b"".join(parts))


ONE = struct.pack("<i", 1)


def nested(depth: int) -> bytes:
    made = array(6, (1, 1), element(9, bytes(8)))
    for _ in range(depth):
        made = array(1, (1, 1), made)
    return made


@pytest.mark.parametrize(
    "variable",
    [
        nested(1000),
        array(1, (2**31 - 1, 1)),
        array(1, (300_000, 1), *[element(14, b"")] * 300_000),
        array(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8))),
        array(6, (-1, -8), element(9, bytes(64))),
        array(6, (1, 2), element(9, bytes(8))),
        array(6, (1,), element(9, bytes(8))),
        array(6, (1, 1), element(99, bytes(8))),
        array(8, (1, 1), element(9, bytes(8))),
        array(99, (1, 1), element(9, bytes(8))),
        array(4, (1, 3), element(16, b"\xff\xfe\xfd")),
        array(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"abc")),
        array(2, (1, 1), element(5, struct.pack("<i", -3)), element(1, b"abc")),
        array(2, (2**31 - 1, 1), element(5, struct.pack("<i", 3)), element(1, b"abc")),
        array(2, (1, 1), element(5, struct.pack("<i", 1)), element(1, b"a" * 1_000_000)),
        array(1, (9, 1), *[array(2, (50_000, 1), element(5, ONE), element(1, b""))] * 9),
        array(6, (1, 1), element(9, bytes(8)))[:-3],
        element(14, element(6, bytes(4))),
        struct.pack("<2I", 14, 2**32 - 1),
        element(15, b"not zlib"),
        element(15, zlib.compress(struct.pack("<2I", 14, 100) + bytes(20))),
        element(15, zlib.compress(array(6, (1, 1), element(9, bytes(8))) + bytes(100))),
        element(15, zlib.compress(array(6, (1, 1), element(9, bytes(8))))[:-6]),
    ],
)
def test_a_variable_that_cannot_be_is_an_error(tmp_path: Path, variable: bytes) -> None:
    assert damage.read(tmp_path / "a.mat", head() + variable, read_x) is None


def read_x(path: Path) -> dict[str, Value]:
    return matlab.read(path, MOST, ["x"])


@pytest.mark.parametrize("header", [b"", b"MATLAB 5.0", b"x" * 128, head()[:-2] + b"XX"])
def test_another_header_is_an_error(tmp_path: Path, header: bytes) -> None:
    assert damage.read(tmp_path / "a.mat", header, read_x) is None


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    size = 1 << 30
    packer = zlib.compressobj(1)
    inside = array(6, (size // 8, 1))
    parts = [packer.compress(struct.pack("<2I", 14, len(inside) + size) + inside[8:])]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(64)]
    content = head() + element(15, b"".join([*parts, packer.flush()]))
    tracemalloc.start()
    try:
        assert damage.read(tmp_path / "a.mat", content, read_x) is None
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_small_integers_do_not_become_a_bomb_of_doubles(tmp_path: Path) -> None:
    size = 40 << 20
    packed = zlib.compress(array(6, (size, 1), element(2, bytes(size))), 1)
    assert damage.read(tmp_path / "a.mat", head() + element(15, packed), read_x) is None


def test_a_large_array_that_is_really_there_is_read_without_a_copy(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((1 << 10, 1 << 12), np.float32)
    path = write(tmp_path / "a.mat", {"x": values}, compressed=True)
    tracemalloc.start()
    try:
        found = read_x(path)["x"]
        assert tracemalloc.get_traced_memory()[1] < values.nbytes + (8 << 20)
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, values, strict=True)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    return {packed: write(path, compressed=packed).read_bytes() for packed in (False, True)}


@damage.SETTINGS
@given(data=st.data())
def test_a_damaged_compressed_file_is_an_error_or_has_the_same_values(
    tmp_path: Path, contents: dict[bool, bytes], data: st.DataObject
) -> None:
    content = data.draw(damage.of(contents[True]))
    path = tmp_path / "a.mat"
    whole = tmp_path / "whole.mat"
    whole.write_bytes(contents[True])
    found = damage.read(path, content, lambda path: matlab.read(path, MOST, list(CONTENT)))
    theirs = scipy.io.loadmat(whole)
    for name, value in (found or {}).items():
        assert agrees(value, theirs[name])


@damage.SETTINGS
@given(data=st.data())
def test_a_damaged_plain_file_ends_nothing(
    tmp_path: Path, contents: dict[bool, bytes], data: st.DataObject
) -> None:
    content = data.draw(damage.of(contents[False]))
    found = damage.read(
        tmp_path / "a.mat", content, lambda path: matlab.read(path, MOST, list(CONTENT))
    )
    assert found is None or set(found) <= set(CONTENT)
