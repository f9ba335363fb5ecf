from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from hcft_jax.backbones import vgg, winograd
from hcft_jax.backbones.backbone import Params


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The convolution in float64, channel by channel."""
    planes = [
        sum(
            scipy.ndimage.correlate(x[..., c], kernel[..., c, k], mode="constant")
            for c in range(kernel.shape[2])
        )
        for k in range(kernel.shape[3])
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (5, 3), (8, 7), (14, 14)])
def test_it_is_the_convolution_with_zeros_around(
    maybe_jit: Callable[..., Callable[..., jax.Array]], size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(*size, 6)), rng.normal(size=(3, 3, 6, 5))
    y = maybe_jit(winograd.convolve)(jnp.asarray(x, jnp.float32), winograd.transform(kernel))
    np.testing.assert_allclose(y, convolved(x, kernel), atol=1e-5)


def test_images_of_a_batch_do_not_mix() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 5, 7, 4)).astype(np.float32)
    kernel = winograd.transform(rng.normal(size=(3, 3, 4, 2)))
    batch = winograd.convolve(jnp.asarray(x), kernel)
    assert batch.shape == (2, 3, 5, 7, 2)
    alone = winograd.convolve(jnp.asarray(x[1, 2]), kernel)
    np.testing.assert_allclose(batch[1, 2], alone, atol=1e-5)


def test_it_is_as_accurate_as_the_direct_convolution() -> None:
    rng = np.random.default_rng(2)
    x, kernel = rng.uniform(size=(12, 12, 64)), rng.normal(size=(3, 3, 64, 8))
    expected = convolved(x, kernel)
    y = winograd.convolve(jnp.asarray(x, jnp.float32), winograd.transform(kernel))
    assert np.abs(y - expected).max() < 2e-6 * np.abs(expected).max()


def test_prepared_parameters_give_the_same_features(params: Params) -> None:
    image = jnp.asarray(np.random.default_rng(3).uniform(0, 255, (2, 48, 40, 3)), jnp.float32)
    direct = vgg.features(params, image, vgg.LAYERS)
    prepared = vgg.features(vgg.prepared(params), image, vgg.LAYERS)
    for name in vgg.LAYERS:
        scale = float(np.abs(direct[name]).max())
        np.testing.assert_allclose(prepared[name], direct[name], atol=4e-6 * scale)


def test_a_batch_of_any_shape_is_its_images_one_by_one(params: Params) -> None:
    images = jnp.asarray(np.random.default_rng(4).uniform(0, 255, (2, 2, 16, 24, 3)), jnp.float32)
    prepared, layers = vgg.prepared(params), ("conv3_2", "conv1_1")
    together = vgg.features(prepared, images, layers)
    for i, j in np.ndindex(2, 2):
        alone = vgg.features(prepared, images[i, j], layers)
        for name in layers:
            np.testing.assert_allclose(together[name][i, j], alone[name], rtol=1e-4, atol=1e-4)
