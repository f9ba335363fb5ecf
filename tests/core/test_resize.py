import cv2
import numpy as np
import pytest
from hypothesis import given
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
