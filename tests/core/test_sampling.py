import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest

from hcft_jax.core import sampling
from tests import reference


@pytest.mark.parametrize(
    ("target", "window"),
    [
        ((65, 95), (130, 190)),  # more than a twentieth of the image: twice
        ((46, 31), (128, 86)),  # 2.8 times, rounded down
        ((45, 31), (125, 86)),  # in double precision 2.8 * 45 is just below 126
        ((25, 11), (35, 30)),  # more than twice as tall as wide: 1.4 times in height
        ((24, 12), (67, 33)),  # exactly twice as tall is not tall
        ((21.5, 20.5), (60, 57)),
    ],
)
def test_search_window_follows_the_authors_rule(
    target: tuple[float, float], window: tuple[int, int]
) -> None:
    assert sampling.geometry(target, (240, 320)).window == window
    assert reference.search_window(target, (240, 320)) == window


@pytest.mark.parametrize(
    ("target", "grid"), [((46, 31), (32, 21)), ((46, 46), (32, 32)), ((20, 20), (14, 14))]
)
def test_the_grid_has_a_cell_for_four_whole_pixels(
    target: tuple[float, float], grid: tuple[int, int]
) -> None:
    assert sampling.geometry(target, (480, 640)).grid == grid


@pytest.mark.parametrize("target", [(1, 50), (50, 1), (4, 4)])
def test_a_target_too_thin_for_a_grid_is_refused(target: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="at least 3 x 3"):
        sampling.geometry(target, (240, 320))


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "position",
    [(40, 50), (40.5, 50.5), (0, 0), (79, 99), (-200, 50), (40, 900)],
    ids=["inside", "half pixels", "top left", "bottom right", "above", "far right"],
)
def test_patch_is_the_search_window_with_repeated_edges(
    maybe_jit: Callable[..., Callable[..., jnp.ndarray]],
    position: tuple[float, float],
    dtype: type,
    pad: int,
    sparse: bool,
) -> None:
    image: npt.NDArray[Any] = np.random.default_rng(1).integers(0, 256, (80, 100, 3)).astype(dtype)
    window, size = (31, 60), (48, 48)  # one axis grows, the other shrinks
    padded = np.pad(image, ((0, pad), (0, 2 * pad), (0, 0)), constant_values=77)
    geometry = sampling.Geometry((80, 100), window, (7, 15))
    crop = sampling.crop(geometry, size, (31 + pad, 60 + pad))
    patch = maybe_jit(functools.partial(sampling.patch, sparse=sparse))(
        jnp.asarray(padded),
        sampling.View(jnp.array(position, jnp.float32)),
        jax.tree.map(jnp.asarray, crop),
    )
    expected = reference.subwindow(image, np.array(position) + 1, window)
    np.testing.assert_allclose(patch, reference.resample(expected, size), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("window", [(9, 200), (97, 48), (150, 40)])
def test_sparse_and_dense_patches_are_equal(window: tuple[int, int]) -> None:
    image = jnp.asarray(np.random.default_rng(2).integers(0, 256, (80, 100, 3)).astype(np.uint8))
    crop = sampling.crop(sampling.Geometry((80, 100), window, (7, 15)), (48, 48), (160, 210))
    crop = jax.tree.map(jnp.asarray, crop)
    view = sampling.View(jnp.array([33.0, 71.0]))
    dense, sparse = (sampling.patch(image, view, crop, sparse=s) for s in (False, True))
    np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_a_stored_image_has_the_patch_of_the_image_itself(sparse: bool) -> None:
    images = np.random.default_rng(3).integers(0, 256, (3, 80, 100, 3)).astype(np.uint8)
    store = np.full((3, 80 * 100 * 3 + 17), 99, np.uint8)
    store[:, : 80 * 100 * 3] = images.reshape(3, -1)
    crop = sampling.crop(sampling.Geometry((80, 100), (31, 60), (7, 15)), (48, 48))
    crop, view = jax.tree.map(jnp.asarray, crop), sampling.View(jnp.array([70.0, 3.0]))
    for slot, image in enumerate(images):
        stored = sampling.Stored(jnp.asarray(store), jnp.asarray(slot, jnp.int32), (80, 100))
        np.testing.assert_array_equal(
            sampling.patch(stored, view, crop, sparse=sparse),
            sampling.patch(jnp.asarray(image), view, crop, sparse=sparse),
        )


def test_a_window_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        sampling.crop(sampling.Geometry((80, 100), (31, 60), (7, 15)), (48, 48), (40, 59))
