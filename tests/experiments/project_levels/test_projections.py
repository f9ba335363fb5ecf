from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from experiments.project_levels import projections
from experiments.project_levels.projections import Moments
from hcft_jax.backbones import registry
from hcft_jax.weights import lookup
from tests.small import NAME

NETWORK = registry.get(NAME)
LAYERS = ("block4", "block2")


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Correlated features of a mean, as cells of a level have them."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((4000, 6)) @ rng.standard_normal((6, 6)) + rng.uniform(0, 3, 6)


@pytest.fixture(scope="module")
def of(cells: np.ndarray) -> Moments:
    return Moments(cells.mean(0), cells.T @ cells / len(cells))


def projected(cells: np.ndarray, by: dict[str, np.ndarray]) -> np.ndarray:
    return cells @ np.float64(by["kernel"][0, 0]) + by["bias"]


def test_moments_are_those_of_all_cells() -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(23)]
    params = lookup.random(NAME).params
    found = projections.moments(NETWORK, NETWORK.placed(params), LAYERS, images)
    maps = jax.jit(lambda x: NETWORK.maps(params, x, LAYERS))(np.stack(images).astype(np.float32))
    for name in LAYERS:
        x = np.float64(maps[name]).reshape(-1, maps[name].shape[-1])
        np.testing.assert_allclose(found[name].mean, x.mean(0), atol=1e-4)
        np.testing.assert_allclose(found[name].covariance, np.cov(x.T, bias=True), atol=1e-4)


def test_all_channels_keep_inner_products(cells: np.ndarray, of: Moments) -> None:
    y = projected(cells[:50], projections.projection(of, None, 0.0))
    np.testing.assert_allclose(y @ y.T, cells[:50] @ cells[:50].T, rtol=1e-4, atol=1e-3)
    assert projections.kept(of, None) == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_fewer_channels_keep_what_is_said_of_the_energy(
    cells: np.ndarray, of: Moments, channels: int
) -> None:
    y = projected(cells, projections.projection(of, channels, 0.0))
    share = np.square(y).sum() / np.square(cells).sum()
    assert share == pytest.approx(projections.kept(of, channels), rel=1e-4)
    others = np.linalg.qr(np.random.default_rng(2).standard_normal((6, 6)))[0][:, :channels]
    assert np.square(cells @ others).sum() < np.square(y).sum()


def test_whitened_channels_are_uncorrelated_and_as_strong(cells: np.ndarray, of: Moments) -> None:
    y = projected(cells, projections.projection(of, None, 1e-6))
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(6), atol=1e-2)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)


def test_what_is_added_before_whitening_keeps_weak_directions_weak(of: Moments) -> None:
    by = projections.projection(of, None, 1.0)["kernel"][0, 0]
    variances = np.linalg.eigvalsh(by.T @ of.covariance @ by)
    own = np.linalg.eigvalsh(of.covariance)
    np.testing.assert_allclose(variances, own / (own + own.mean()), rtol=1e-3)


def test_crops_are_squares_of_the_photos(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    cv2.imwrite(str(tmp_path / "a.png"), np.stack([ramp] * 3, -1))
    photos = [tmp_path / "a.png"] * 20
    seen = list(projections.crops(photos, 24, np.random.default_rng(3)))
    assert {image.shape for image in seen} == {(24, 24, 3)}
    widths = [int(image[0, -1, 0]) - int(image[0, 0, 0]) for image in seen]
    assert 26 <= min(widths) < 45
    assert 80 < max(widths) <= 100
    again = list(projections.crops(photos, 24, np.random.default_rng(3)))
    np.testing.assert_array_equal(seen, again)
