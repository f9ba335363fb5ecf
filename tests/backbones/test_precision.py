"""Precisions of a network, on a CPU: what is rounded, and that nothing else is."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.weights import lookup
from tests import reference

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


@functools.cache
def drawn(name: str) -> Params:
    """Untrained parameters with biases."""
    generator = np.random.default_rng(3)
    params = lookup.random(name).params
    shapes = registry.get(name).shapes(registry.get(name).architecture)
    return params | {
        layer: {
            "kernel": np.asarray(params[layer]["kernel"]),
            "bias": generator.normal(0, 0.5, shape[3]).astype(np.float32),
        }
        for layer, shape in shapes.items()
    }


@functools.cache
def placed(name: str, precision: str) -> Params:
    return registry.get(name).placed(drawn(name), precision)


def apart(seen: jax.Array, expected: jax.Array | np.ndarray) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.abs(np.float64(seen) - np.float64(expected)).max() / np.abs(expected).max())


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


def test_three_products_of_parts_are_near_float64(image: np.ndarray, maybe_jit: Any) -> None:
    def run(params: Params, image: jax.Array) -> dict[str, jax.Array]:
        return VGG.maps(params, image, LAYERS, "bfloat16x3")

    exact = reference.vgg(drawn("vgg19"), image, LAYERS)
    seen = maybe_jit(run)(placed("vgg19", "bfloat16x3"), jnp.asarray(image))
    for name in LAYERS:
        assert seen[name].dtype == jnp.float32
        assert apart(seen[name], exact[name]) < 2e-5


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vgg19", ("conv2_1", "conv3_2")),
        ("alexnet", ("conv1", "conv2", "conv5")),
    ],
)
def test_three_products_of_parts_are_much_nearer_float32_than_bfloat16(
    name: str, layers: tuple[str, ...]
) -> None:
    patch = np.random.default_rng(1).uniform(0, 255, (2, 64, 67, 3)).astype(np.float32)
    full, near, rounded = (
        jax.jit(registry.get(name).maps, static_argnums=(2, 3))(
            placed(name, precision), patch, layers, precision
        )
        for precision in ("float32", "bfloat16x3", "bfloat16")
    )
    for layer in layers:
        assert apart(near[layer], full[layer]) < 2e-5
        assert apart(near[layer], full[layer]) < 0.02 * apart(rounded[layer], full[layer])


@pytest.mark.parametrize("name", ["alexnet"])
def test_parts_of_kernels_are_made_once(name: str) -> None:
    network, params = registry.get(name), drawn(name)
    made = placed(name, "bfloat16x3")
    for layer, shape in network.shapes(network.architecture).items():
        assert made[layer]["kernel"].shape == (*shape[:2], 3 * shape[2], shape[3])
        np.testing.assert_array_equal(made[layer]["bias"], params[layer]["bias"])
    patch = np.random.default_rng(1).uniform(0, 255, (64, 67, 3)).astype(np.float32)
    again, once = (
        jax.jit(network.maps, static_argnums=(2, 3))(of, patch, network.layers[:2], "bfloat16x3")
        for of in (params, made)
    )
    for layer in once:
        np.testing.assert_allclose(again[layer], once[layer], atol=1e-6 * once[layer].max())


@pytest.mark.parametrize("precision", ["bfloat16x3", "bfloat16"])
def test_each_kernel_is_placed_as_it_is_multiplied(precision: str) -> None:
    params, made = drawn("alexnet"), placed("alexnet", precision)
    network = registry.get("alexnet")
    for layer, shape in network.shapes(network.architecture).items():
        if "kernel" in made[layer]:
            kernel = np.asarray(made[layer]["kernel"], np.float32)[:, :, : shape[2]]
            high = params[layer]["kernel"].astype(jnp.bfloat16).astype(np.float32)
            np.testing.assert_array_equal(kernel, high)
