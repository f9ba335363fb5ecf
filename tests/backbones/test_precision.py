"""Precisions of a network, on a CPU: what is rounded, and that nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import PRECISIONS, Params, operand
from hcft_jax.weights import lookup

LAYERS = ("conv1_1", "conv3_2")
VGG = registry.get("vgg19")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (24, 24, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def plain() -> Params:
    return lookup.random().params


def maps(params: Params, image: np.ndarray, precision: str) -> dict[str, jax.Array]:
    return VGG.maps(VGG.placed(params, precision), jnp.asarray(image), LAYERS, precision)


def test_bfloat16_rounds_both_sides_of_a_product(plain: Params, image: np.ndarray) -> None:
    mean, std = (np.asarray(plain["normalization"][name]) for name in ("mean", "std"))
    x, kernel = (
        np.asarray(a, jnp.bfloat16).astype(np.float64)
        for a in ((image - mean) / std, plain["conv1_1"]["kernel"])
    )
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    flipped = kernel[::-1, ::-1, ::-1]  # a convolution in the mathematicians' sense
    sums = [scipy.signal.convolve(padded, flipped[..., k], "valid")[..., 0] for k in range(64)]
    expected = np.maximum(np.stack(sums, -1), 0)  # untrained biases are zero
    seen = maps(plain, image, "bfloat16")["conv1_1"]
    assert seen.dtype == jnp.float32
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-5 * expected.max())


def test_bfloat16_is_near_float32_but_not_equal(plain: Params, image: np.ndarray) -> None:
    exact, rounded = (maps(plain, image, p)["conv3_2"] for p in ("float32", "bfloat16"))
    error = float(jnp.linalg.norm(exact - rounded) / jnp.linalg.norm(exact))
    assert 1e-4 < error < 0.02


@pytest.mark.parametrize("layer", ["conv2_1", "conv3_2"])
def test_compiled_it_rounds_as_step_by_step(plain: Params, image: np.ndarray, layer: str) -> None:
    params = VGG.placed(plain, "bfloat16")

    def run(params: Params, image: jax.Array) -> jax.Array:
        return VGG.maps(params, image, (layer,), "bfloat16")[layer]

    expected = run(params, jnp.asarray(image))
    compiled = jax.jit(run)(params, jnp.asarray(image))
    np.testing.assert_allclose(compiled, expected, rtol=0, atol=0.01 * float(expected.max()))


def test_a_cpu_computes_tf32_in_full(plain: Params, image: np.ndarray) -> None:
    exact, other = (maps(plain, image, p) for p in ("float32", "tf32"))
    for name in LAYERS:
        np.testing.assert_array_equal(exact[name], other[name])


@pytest.mark.parametrize("name", PRECISIONS)
def test_rounding_twice_is_rounding_once(name: str, image: np.ndarray) -> None:
    once = operand(jnp.asarray(image), PRECISIONS[name])
    np.testing.assert_array_equal(operand(once, PRECISIONS[name]), once)
    assert (np.asarray(once) == image).all() == (name != "bfloat16")
