"""Features without a network: grey values and fHOG of the search window's own pixels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones import registry
from hcft_jax.backbones.handmade import BRIGHTNESS, brightness, features
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from tests.reference_fhog import transcription
from tests.reference_scale import brightness as matlabs

NAMES = ("hog_4", "hog_1", "grey", "centred")


def picture(shape: tuple[int, ...] = (14, 18, 3), seed: int = 0) -> np.ndarray:
    """Colours whose brightness is not halfway between two whole numbers."""
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)
    near = np.abs(values.astype(np.float64) @ np.array(BRIGHTNESS) % 1 - 0.5) < 1e-3
    values[near] = 90
    return values


def expected(image: np.ndarray, name: str) -> np.ndarray:
    grey = matlabs(image) / 255
    maps = {
        "hog_4": lambda: transcription(grey, 4),
        "hog_1": lambda: transcription(np.asarray(image, np.float64), 1)[..., :27],
        "grey": lambda: grey[..., None] - 0.5,
        "centred": lambda: (grey - grey.mean())[..., None],
    }
    return maps[name]()


def test_brightness_is_matlabs() -> None:
    np.testing.assert_array_equal(brightness(jnp.asarray(picture())), matlabs(picture()))


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_what_numpy_makes(name: str) -> None:
    image = picture()
    found = jax.jit(features, static_argnums=2)({}, jnp.asarray(image), (name,), None)
    assert set(found) == {name}
    assert found[name].dtype == jnp.float32
    np.testing.assert_allclose(found[name], expected(image, name), atol=1e-5)


def test_padding_changes_nothing() -> None:
    image = picture()
    padded = np.pad(image, [(0, 6), (0, 5), (0, 0)], constant_values=250)
    size = jnp.array([14, 18], jnp.int32)
    found = jax.jit(features, static_argnums=2)({}, jnp.asarray(padded), NAMES, size)
    for name in NAMES:
        own = expected(image, name)
        values = np.array(found[name])
        np.testing.assert_allclose(values[: own.shape[0], : own.shape[1]], own, atol=1e-5)
        values[: own.shape[0], : own.shape[1]] = 0
        assert not values.any()


def test_batches_are_loops() -> None:
    images = jnp.asarray(np.stack([picture(seed=seed) for seed in range(2)]))
    sizes = jnp.array([[14, 18], [9, 12]], jnp.int32)
    run = jax.jit(features, static_argnums=2)
    each = [run({}, image, NAMES, size) for image, size in zip(images, sizes, strict=True)]
    whole = run({}, images, NAMES, None)
    both = run({}, images, NAMES, sizes)
    for name in NAMES:
        stacked = np.stack([maps[name] for maps in each])
        np.testing.assert_allclose(both[name], stacked, atol=1e-6)
        np.testing.assert_allclose(whole[name][0], stacked[0], atol=1e-6)


def test_it_runs_without_jit(maybe_jit: Any) -> None:
    run = maybe_jit(lambda image: features({}, image, ("grey", "centred"), None))
    found = run(jnp.asarray(picture()))
    for name in ("grey", "centred"):
        np.testing.assert_allclose(found[name], expected(picture(), name), atol=1e-6)


@pytest.mark.parametrize("name", ["hog", "grey"])
def test_no_weights_are_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is fetched")

    monkeypatch.setattr(lookup, "fetch", refuse)
    weights = lookup.find(None, name)
    assert weights.params == {}
    assert weights.backbone is registry.get(name)
    assert weights.digest == lookup.find(None, name).digest
    assert lookup.at_hand(name)


@pytest.mark.parametrize("name", ["hog", "grey"])
@pytest.mark.parametrize("given", ["random", "weights.npz"])
def test_weights_are_refused(name: str, given: str) -> None:
    with pytest.raises(InputError, match=f"weights: .* has none; leave {given} out"):
        lookup.find(given, name)
