"""The file of response maps: what goes in comes out, to half a step; damaged ones are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hcft_jax.evaluation import responses
from hcft_jax.util.errors import InputError
from tests import damage

GIVEN: dict[str, Any] = {
    "layers": ("conv5_4", "conv3_4"),
    "gamma": (1.0, 0.02),
    "grid": (5, 7),
    "window": (21, 30),
    "cell": (4.0, 5.5),
}


def write(path: Path, maps: np.ndarray) -> None:
    centres = np.arange(2.0 * len(maps)).reshape(-1, 2)
    with responses.writing(path, len(maps) + 1, **GIVEN) as writer:
        writer.write(None, np.zeros((1, 2)), np.array([np.nan]))
        writer.write(maps[:2], centres[:2], np.array([3.0, 4.0]))
        writer.write(maps[2:], centres[2:], np.array([5.0]))


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).normal(0.1, 0.3, (3, 2, 5, 7)).astype(np.float32)


@given(
    arrays.arrays(
        np.float32,
        (2, 3, 4),
        elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
    )
)
def test_a_map_survives_to_half_a_step(maps: np.ndarray) -> None:
    levels, offset, scale = responses.quantise(maps)
    restored = offset[:, None, None] + scale[:, None, None].astype(np.float64) * levels
    rounding = 1e-6 * np.abs(maps).max()  # of the offset, to float32
    assert (np.abs(restored - maps) <= 0.501 * scale[:, None, None] + rounding).all()


def test_a_map_that_is_not_finite_is_none() -> None:
    levels, offset, _ = responses.quantise(np.array([[[1.0, np.inf]], [[1.0, 2.0]]]))
    assert np.isnan(offset).tolist() == [True, False]
    assert levels[1].tolist() == [[0, 255]]


def test_a_file_holds_all_frames(tmp_path: Path, maps: np.ndarray) -> None:
    write(tmp_path / "a.npz", maps)
    read = responses.read(tmp_path / "a.npz")
    assert (read.layers, read.window, read.cell) == (["conv5_4", "conv3_4"], (21, 30), (4.0, 5.5))
    np.testing.assert_array_equal(read.gamma, np.array([1.0, 0.02], np.float32))
    np.testing.assert_array_equal(read.psr, [np.nan, 3, 4, 5])
    np.testing.assert_array_equal(read.centres[1:], np.arange(6.0).reshape(3, 2))
    assert np.isnan(read.offset[0]).all()
    restored = read.offset[1:, :, None, None] + read.scale[1:, :, None, None] * read.maps[1:]
    np.testing.assert_allclose(restored, maps, rtol=0, atol=0.51 * read.scale.max())


def test_equal_content_gives_equal_bytes(tmp_path: Path, maps: np.ndarray) -> None:
    for name in ("a.npz", "b.npz"):
        write(tmp_path / name, maps)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_interrupted_file_does_not_appear(tmp_path: Path) -> None:
    def interrupted() -> None:
        with responses.writing(tmp_path / "a.npz", 2, **GIVEN) as writer:
            writer.write(None, np.zeros((1, 2)), np.zeros(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_too_few_frames_are_a_mistake_of_the_caller(tmp_path: Path, maps: np.ndarray) -> None:
    def short() -> None:
        with responses.writing(tmp_path / "a.npz", 9, **GIVEN) as writer:
            writer.write(maps, np.zeros((3, 2)), np.zeros(3))

    with pytest.raises(ValueError, match="3 of 9 frames were written"):
        short()


@pytest.mark.parametrize("kept", [0, 10, 300, -30])
def test_a_cut_file_is_named(tmp_path: Path, maps: np.ndarray, kept: int) -> None:
    path = tmp_path / "a.npz"
    write(path, maps)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.npz: the file is damaged"):
        responses.read(path)


def test_other_contents_are_named(tmp_path: Path, maps: np.ndarray) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(InputError, match=r"a\.npz: cannot be read"):
        responses.read(path)
    np.savez(path, maps=maps)
    with pytest.raises(InputError, match=r"a\.npz: the file is damaged"):
        responses.read(path)
    write(path, maps)
    content = dict(np.load(path)) | {"psr": np.zeros(2)}
    np.savez(path, **content)
    with pytest.raises(InputError, match="do not fit together"):
        responses.read(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"window": np.array([21.0, 30.0])},
        {"window": np.array([-21, 30])},
        {"window": np.array(["a", "b"])},
        {"cell": np.array([np.nan, 1])},
        {"cell": np.array([np.inf, 1])},
        {"cell": np.array([1j, 1])},
        {"psr": np.full(4, np.inf, np.float32)},
        {"psr": np.array(["a"] * 4)},
        {"offset": np.full((4, 2), -np.inf, np.float32)},
        {"layers": np.ones(2)},
        {"gamma": np.ones(2, int)},
        {"maps": np.zeros((4, 2, 0, 9), np.uint8)},
        {"maps": np.zeros((4, 2, 5, 6), np.int8)},
    ],
    ids=str,
)
def test_values_of_another_kind_are_named(
    tmp_path: Path, maps: np.ndarray, changes: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "a.npz"
    write(path, maps)
    np.savez(path, **dict(np.load(path)) | changes)
    with pytest.raises(InputError, match=r"a\.npz: .*remove it"):
        responses.read(path)


@damage.SETTINGS
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_the_same(
    tmp_path: Path, maps: np.ndarray, data: st.DataObject
) -> None:
    write(tmp_path / "whole.npz", maps)
    whole = responses.read(tmp_path / "whole.npz")
    content = data.draw(damage.of((tmp_path / "whole.npz").read_bytes()))
    found = damage.read(tmp_path / "a.npz", content, responses.read)
    assert found is None or all(map(np.array_equal, found[:1], whole[:1]))


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"a\.npz: a .*, not a regular file"):
        responses.read(damage.no_file(tmp_path / "a.npz", kind))


def test_the_maps_of_a_long_sequence_are_read(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.npz", 5000
    with responses.writing(path, rows, **GIVEN | {"grid": (56, 56)}) as writer:
        for _ in range(rows // 500):
            writer.write(None, np.zeros((500, 2)), np.zeros(500))
    assert responses.read(path).maps.shape == (rows, 2, 56, 56)
