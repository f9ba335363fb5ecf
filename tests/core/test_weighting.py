"""Weights of the layers that follow how well each has served."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.core import weighting
from hcft_jax.core.weighting import Trust
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.weights import lookup

GAMMA = (1.0, 0.5, 0.02)
GRID = (24, 20)


def response(peak: tuple[int, int], spread: float = 1.5, noise: float = 0.02) -> np.ndarray:
    rows, columns = np.mgrid[: GRID[0], : GRID[1]]
    square = (rows - peak[0]) ** 2 + (columns - peak[1]) ** 2
    drawn = np.random.default_rng(0).standard_normal(GRID)
    return np.asarray(np.exp(-square / (2 * spread**2)) + noise * drawn)


def ratio(response: np.ndarray, peak: tuple[int, int]) -> float:
    """The peak-to-sidelobe ratio, in float64."""
    rows, columns = np.mgrid[: GRID[0], : GRID[1]]
    far = np.maximum(abs(rows - peak[0]), abs(columns - peak[1])) > 5
    return float((response[peak] - response[far].mean()) / response[far].std())


def test_the_first_weights_are_gamma(maybe_jit: Any) -> None:
    trust = weighting.start(3, jnp.zeros(()))
    np.testing.assert_allclose(maybe_jit(weighting.weights)(GAMMA, trust), GAMMA, rtol=1e-6)


def test_the_trust_is_that_of_a_transcription_in_float64(maybe_jit: Any) -> None:
    maps = [response((12, 10)), response((5, 4)), response((12, 11), noise=0.1)]
    trust = weighting.start(3, jnp.zeros(()))
    quality, first = np.ones(3), np.zeros(3)
    for peak in ((12, 10), (12, 11), (11, 10)):
        given = [jnp.asarray(m, jnp.float32) for m in maps]
        at = jnp.array(peak, jnp.int32)
        trust = maybe_jit(weighting.follow)(trust, given, at, GRID)
        sharp = np.maximum([ratio(m, peak) for m in maps], 0)
        first = np.where(first > 0, first, np.maximum(sharp, 1e-6))
        agreed = np.clip([m[peak] / m.max() for m in maps], 0, 1)
        quality += weighting.RATE * (np.minimum(sharp / first, 1) * agreed - quality)
    np.testing.assert_allclose(trust.quality, quality, rtol=1e-4)
    np.testing.assert_allclose(trust.sharpness, first, rtol=1e-4)
    scaled = np.array(GAMMA) * (quality / quality.max()) ** weighting.POWER
    expected = scaled * sum(GAMMA) / scaled.sum()
    np.testing.assert_allclose(weighting.weights(GAMMA, trust), expected, rtol=1e-3)


def test_a_layer_that_answers_elsewhere_loses_its_weight() -> None:
    trust = weighting.start(3, jnp.zeros(()))
    maps = [jnp.asarray(response(p), jnp.float32) for p in ((2, 3), (12, 10), (12, 10))]
    for _ in range(60):
        trust = weighting.follow(trust, maps, jnp.array((12, 10), jnp.int32), GRID)
    weights = np.array(weighting.weights(GAMMA, trust))
    assert weights[0] < 0.05
    assert weights[1] > 1.3
    assert weights.sum() == pytest.approx(sum(GAMMA), rel=1e-5)


def test_weights_stay_finite_where_no_layer_serves() -> None:
    nothing = Trust(jnp.zeros(3), jnp.zeros(3))
    assert np.isfinite(weighting.weights(GAMMA, nothing)).all()


def test_a_target_is_tracked_with_them() -> None:
    drawn = synthetic(Synthetic(frames=8, height=96, width=120, target=(24, 20), motion=10.0))
    config = settings.derive("lite0", input_size=112, weighting="adaptive").tracker
    found = lookup.find(None, config.backbone)
    params = config.network.placed(found.params, config.precision)
    boxes = np.concatenate([t.boxes for t in track_sequence(params, config, drawn)])
    centres, true = (b[:, :2] + b[:, 2:] / 2 for b in (boxes, drawn.boxes))
    assert np.abs(centres - true).max() < 6
