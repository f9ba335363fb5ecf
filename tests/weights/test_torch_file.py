import contextlib
import os
import pickle
import subprocess
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcft_jax.util.errors import InputError
from hcft_jax.weights import torch_file
from tests import damage

# Written by torch.save of PyTorch 2.13: the tensors of ``layouts`` below, and a VGG-19 of width 1
# or 2.
DATA = Path(__file__).parents[1] / "data"
CONTAINERS = ("zip", "legacy")


def layouts() -> dict[str, np.ndarray]:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return {
        "plain": base,
        "transposed": base.transpose(2, 0, 1),
        "view": base[1:, ::2, 1:],
        "half": base.astype(np.float16),
        "double": base.astype(np.float64) / 3,
        "parameter": np.arange(3, dtype=np.float32),
        "long": np.arange(3),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(7, np.float32),
    }


def legacy(*pickled: bytes) -> bytes:
    """The beginning of a legacy file, with the rest given."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = [pickle.dumps(part, 2) for part in (torch_file.LEGACY_MAGIC, 1001, system)]
    return b"".join([*head, *pickled])


def write(path: Path, pickled: bytes, container: str) -> Path:
    if container == "legacy":
        path.write_bytes(legacy(pickled, pickle.dumps([], 2)))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
    return path


def tensor_pickle(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    """Hand-made pickle of {"x": a tensor over a storage "0" of four floats}."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(pickle.dumps(v, 2)[2:-1] for v in values) + b"t"

    kind, key, device = (pickle.dumps(text, 2)[2:-3] for text in ("storage", "0", "cpu"))
    storage = b"(" + kind + b"ctorch\nFloatStorage\n" + key + device + b"K\x04tQ"
    arguments = storage + pickle.dumps(offset, 2)[2:-1] + numbers(shape) + numbers(strides)
    call = b"ctorch._utils\n_rebuild_tensor\n(" + arguments + b"tR"
    return b"\x80\x02}X\x01\x00\x00\x00x" + call + b"s."


def write_tensor(path: Path, pickled: bytes, byteorder: str = "little") -> Path:
    values = np.arange(4, dtype="<f4" if byteorder == "little" else ">f4")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/byteorder", byteorder)
        archive.writestr("a/data/0", values.tobytes())
    return path


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", layouts())
def test_a_file_of_torch_is_read_without_torch(container: str, name: str) -> None:
    found = torch_file.read(DATA / f"torch_layouts_{container}.pth")
    expected = layouts()[name]
    assert list(found) == list(layouts())
    assert found[name].dtype == expected.dtype
    np.testing.assert_array_equal(found[name], expected, strict=True)


@pytest.mark.parametrize("container", CONTAINERS)
def test_only_wanted_tensors_are_read(container: str) -> None:
    path = DATA / f"torch_layouts_{container}.pth"
    assert list(torch_file.read(path, lambda name: name == "double")) == ["double"]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"state_dict": x, "epoch": 3}])
def test_what_torch_saves_here_is_read(
    tmp_path: Path, container: str, wrap: Callable[[Any], Any]
) -> None:
    torch = pytest.importorskip("torch")
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 3)]
    state = torch.nn.Sequential(*layers).state_dict()
    state["slice"] = state["0.weight"][1:, :, ::2].transpose(0, 3)
    path = tmp_path / "model.pth"
    torch.save(wrap(state), path, _use_new_zipfile_serialization=container == "zip")
    found = torch_file.read(path)
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), strict=True)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_whole_saved_model_is_refused_by_its_class(tmp_path: Path, container: str) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    torch.save(torch.nn.ReLU(), path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.activation\.ReLU.*state_dict"):
        torch_file.read(path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_unknown_storage_type_is_named(tmp_path: Path, container: str) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    state = {"x": torch.zeros(2, dtype=torch.bfloat16)}
    torch.save(state, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(InputError, match="BFloat16Storage"):
        torch_file.read(path)


class Shell:
    """Unpickling it runs a command."""

    def __init__(self, call: Callable[..., Any], *arguments: Any):
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("call", [os.system, eval, subprocess.check_call])
def test_a_hostile_pickle_is_refused_and_not_executed(
    tmp_path: Path, container: str, protocol: int, call: Callable[..., Any]
) -> None:
    witness = tmp_path / "executed"
    code = f"open({str(witness)!r}, 'w')" if call is eval else f"touch {witness}"
    pickled = pickle.dumps(OrderedDict(x=Shell(call, code)), protocol)
    with pytest.raises(InputError, match=r"refused: its pickle (names|uses) "):
        torch_file.read(write(tmp_path / "model.pth", pickled, container))
    assert not witness.exists()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("pickled", "named"),
    [
        (b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v3\n.", "torch._utils._rebuild_tensor_v3"),
        (b"(S'true'\nios\nsystem\n.", "refused"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "torch.FloatStorage"),
    ],
)
def test_the_refusal_says_what_the_file_asked_for(
    tmp_path: Path, container: str, pickled: bytes, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        torch_file.read(write(tmp_path / "model.pth", pickled, container))


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_values_are_read_in_either_byte_order(tmp_path: Path, byteorder: str) -> None:
    path = write_tensor(tmp_path / "x.pth", tensor_pickle((2, 2), (1, 2)), byteorder)
    expected = np.array([[0, 2], [1, 3]], np.float32)
    np.testing.assert_array_equal(torch_file.read(path)["x"], expected, strict=True)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((5,), (1,), 0),
        ((4,), (1,), 1),
        ((2, 2), (3, 2), 0),
        ((2,), (1,), 2**40),
        ((2**40,), (0,), 0),
        ((-1,), (1,), 0),
        ((2,), (-1,), 1),
        ((2, 2), (1,), 0),
    ],
)
def test_a_tensor_outside_its_storage_is_an_error(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    path = write_tensor(tmp_path / "x.pth", tensor_pickle(shape, strides, offset))
    with pytest.raises(InputError, match=r"x\.pth: not a complete PyTorch file"):
        torch_file.read(path)


def test_a_big_endian_legacy_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    parts = [torch_file.LEGACY_MAGIC, 1001, {"little_endian": False}]
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    with pytest.raises(InputError, match="big-endian"):
        torch_file.read(path)


@pytest.mark.parametrize("value", [[1, 2], "text", 3])
@pytest.mark.parametrize("container", CONTAINERS)
def test_anything_but_a_dictionary_is_an_error(
    tmp_path: Path, container: str, value: object
) -> None:
    path = write(tmp_path / "x.pth", pickle.dumps(value, 2), container)
    with pytest.raises(InputError, match="not a state_dict"):
        torch_file.read(path)


@pytest.mark.parametrize("container", CONTAINERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fraction=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_an_error(tmp_path: Path, container: str, fraction: float) -> None:
    data = (DATA / f"torch_vgg_{container}.pth").read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(InputError, match=r"cut\.pth"):
        torch_file.read(path)


@pytest.mark.parametrize("container", CONTAINERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_changed_bytes_give_arrays_or_a_clear_error(
    tmp_path: Path, container: str, data: st.DataObject
) -> None:
    content = bytearray((DATA / f"torch_layouts_{container}.pth").read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.pth"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert all(isinstance(array, np.ndarray) for array in torch_file.read(path).values())


def nested(steps: int) -> bytes:
    """A pickle of ((x, x), (x, x)), x again such a pair, and so on: 2 to the steps values."""
    return b"\x80\x02]" + b"q\x00h\x00h\x00\x86" * steps


def deep(steps: int) -> bytes:
    return b"\x80\x02)" + b"\x85" * steps


PLACES = {
    "key": b"}q\x01h\x00K\x01s.",
    "pairs": b"0ccollections\nOrderedDict\n(]q\x01h\x00K\x01\x86a\x85tR.",
    "storage": b"0(U\x07storagectorch\nFloatStorage\nh\x00U\x03cpuK\x04tQ.",
    "identifier": b"Q.",
    "list": b".",
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("made", [nested(60), deep(200_000)], ids=["wide", "deep"])
@pytest.mark.parametrize("place", PLACES)
def test_nested_references_are_never_followed(
    tmp_path: Path, container: str, made: bytes, place: str
) -> None:
    pickled = made + b"q\x00" + PLACES[place]
    with pytest.raises(InputError, match=r"x\.pth: (not a complete|holds a|refused)"):
        torch_file.read(write(tmp_path / "x.pth", pickled, container))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02" + b"]0" * 600_000 + b".",
        b"\x80\x02" + b"(" * 1_100_000 + b"t" * 1_100_000 + b".",
        b"\x80\x02B\xff\xff\xff\x7f",
        b"\x80\x02\x8d" + b"\xff" * 7 + b"\x7f",
        b"\x80\x02I" + b"1" * 5000 + b"\n.",
        b"\x80\x02c" + b"x" * 100_000 + b"\n\x1b[31m\n.",
    ],
    ids=["operations", "marks", "bytes", "text", "digits", "name"],
)
def test_a_pickle_has_a_budget(tmp_path: Path, container: str, pickled: bytes) -> None:
    path = tmp_path / "x.pth"
    content = write(path, pickled, container).read_bytes()
    assert damage.read(path, content, torch_file.read) is None


def bomb(path: Path, name: str, size: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        members = {"data.pkl": tensor_pickle((4,), (1,)), "data/0": b"\0" * 16} | {name: b""}
        for member, content in members.items():
            with archive.open(f"a/{member}", "w") as file:
                file.write(content)
                for _ in range(size >> 20 if member == name else 0):
                    file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("name", ["byteorder", "data.pkl", "data/0"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    path = bomb(tmp_path / "x.pth", name, 200 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"x\.pth: "):
            torch_file.read(path)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_storage_that_is_too_large_for_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    pickled = tensor_pickle((4,), (1,)).replace(b"K\x04tQ", b"J\x00\x00\x00\x03tQ")  # 3 * 2^24
    size = 4 * 3 << 24
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/data.pkl", pickled)
        with archive.open("a/data/0", "w") as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    with pytest.raises(InputError, match="too large for a file of its size"):
        torch_file.read(path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_escape_in_a_name_is_an_error(tmp_path: Path, container: str) -> None:
    path = write(tmp_path / "x.pth", b"\x80\x02S'a\\Z'\n.", container)
    with pytest.raises(InputError, match="an escape in a name"):
        torch_file.read(path)


@pytest.mark.parametrize("byteorder", [b"", b"middle", b"little\n"])
def test_another_byte_order_is_an_error(tmp_path: Path, byteorder: bytes) -> None:
    path = write_tensor(tmp_path / "x.pth", tensor_pickle((4,), (1,)), byteorder.decode())
    with pytest.raises(InputError, match="byte order"):
        torch_file.read(path)


@pytest.mark.parametrize("container", CONTAINERS)
@damage.SETTINGS
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(
    tmp_path: Path, container: str, data: st.DataObject
) -> None:
    content = data.draw(damage.of((DATA / f"torch_layouts_{container}.pth").read_bytes()))
    found = damage.read(tmp_path / "x.pth", content, torch_file.read)
    expected = layouts()
    for name, array in (found or {}).items():
        if container == "zip" and name in expected:  # there are checksums
            np.testing.assert_array_equal(array, expected[name], strict=True)
