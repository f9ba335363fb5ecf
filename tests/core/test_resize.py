from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcft_jax.core import resize
from tests import reference

SIZES = st.integers(1, 60)


def apply(image: np.ndarray, height: int, width: int) -> np.ndarray:
    vertical = resize.matrix(image.shape[0], height)
    horizontal = resize.matrix(image.shape[1], width)
    return np.einsum("iy,yxc,jx->ijc", vertical, image, horizontal)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (57, 80, 3))


@pytest.mark.parametrize("size", [(56, 79), (28, 40), (19, 33), (7, 3), (1, 1)])
def test_shrinking_is_opencvs_area_average(image: np.ndarray, size: tuple[int, int]) -> None:
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(apply(image, *size), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(57, 80), (58, 81), (99, 160), (224, 224)])
def test_growing_is_opencvs_bilinear(image: np.ndarray, size: tuple[int, int]) -> None:
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(apply(image, *size), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(30, 99), (99, 30)])
def test_each_axis_decides_for_itself(image: np.ndarray, size: tuple[int, int]) -> None:
    np.testing.assert_allclose(apply(image, *size), reference.resample(image, size), rtol=1e-9)


@given(SIZES, SIZES)
def test_a_constant_stays_what_it_is(size_in: int, size_out: int) -> None:
    np.testing.assert_allclose(resize.matrix(size_in, size_out).sum(axis=1), 1.0, rtol=1e-12)


@given(SIZES, SIZES)
def test_the_operator_is_the_transcribed_rule(size_in: int, size_out: int) -> None:
    expected = reference.resample_axis(np.eye(size_in), size_out)
    np.testing.assert_allclose(resize.matrix(size_in, size_out), expected, atol=1e-12)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (-1, 3)])
def test_sizes_below_one_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        resize.matrix(*sizes)


CUT = jax.jit(resize.cut, static_argnums=4)
SHAPE = (16, 50)  # that all of these share


def cut(first: int, size_in: int, length: int, size_out: int, run: Any = CUT) -> np.ndarray:
    numbers = (jnp.float32(first), jnp.float32(size_in))
    whole = (jnp.asarray(length, jnp.int32), jnp.asarray(size_out, jnp.int32))
    return np.asarray(run(*numbers, *whole, SHAPE))


def cut_and_resized(first: int, size_in: int, length: int, size_out: int) -> np.ndarray:
    """The operator of one axis, by an image that is padded, cropped and resized."""
    before, after = max(-first, 0), max(first + size_in - length, 0)
    padded = np.pad(np.eye(length), [(before, after), (0, 0)], mode="edge")
    window = padded[first + before : first + before + size_in]
    expected = np.zeros(SHAPE)
    expected[:size_out, :length] = resize.matrix(size_in, size_out) @ window
    return expected


@settings(deadline=None)
@given(
    st.integers(-120, 120), st.integers(1, 100), st.integers(1, SHAPE[1]), st.integers(1, SHAPE[0])
)
def test_a_window_is_cut_with_repeated_edges_and_resized(
    first: int, size_in: int, length: int, size_out: int
) -> None:
    found = cut(first, size_in, length, size_out)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cut_and_resized(first, size_in, length, size_out), atol=1e-6)
    np.testing.assert_allclose(found[:size_out].sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "window",
    [
        (0, 50, 50, 16),  # the image itself
        (-7, 33, 40, 16),  # shrinks, partly outside
        (31, 9, 40, 16),  # grows, up to the edge
        (-60, 20, 40, 5),  # wholly before it
        (70, 20, 40, 5),  # and behind
        (3, 16, 40, 16),  # keeps its size
        (10, 1, 1, 3),  # of one pixel
    ],
)
def test_windows_inside_and_outside(window: tuple[int, int, int, int], maybe_jit: Any) -> None:
    run = maybe_jit(resize.cut, static_argnums=4)
    np.testing.assert_allclose(cut(*window, run), cut_and_resized(*window), atol=1e-6)
