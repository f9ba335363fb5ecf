import numpy as np
import pytest

from hcft_jax.visual import palette

RNG = np.random.default_rng(0)


def test_components_are_the_eigenvectors_of_the_covariance() -> None:
    features = RNG.normal(size=(7, 9, 6)) @ RNG.normal(size=(6, 6)) + 3
    found = palette.principal_components(features)
    rows = features.reshape(-1, 6)
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    np.testing.assert_allclose(found.variances, values[::-1][:3], rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(found.axes * vectors.T[::-1][:3], axis=1)), 1)
    np.testing.assert_allclose(found.scores, (rows - rows.mean(axis=0)) @ found.axes.T, atol=1e-10)
    np.testing.assert_allclose(found.scores.var(axis=0), found.variances, rtol=1e-10)


def test_signs_do_not_depend_on_the_order_of_places() -> None:
    features = RNG.normal(size=(40, 5))
    order = RNG.permutation(40)
    one, other = (palette.principal_components(f) for f in (features, features[order]))
    np.testing.assert_allclose(one.scores[order], other.scores, atol=1e-12)
    assert (one.axes.max(axis=1) >= -one.axes.min(axis=1)).all()


@pytest.mark.parametrize("features", [np.ones((4, 4, 5)), RNG.normal(size=(4, 4, 2))])
def test_features_of_few_dimensions_leave_the_rest_zero(features: np.ndarray) -> None:
    found = palette.principal_components(features)
    assert found.scores.shape == (16, 3)
    assert (found.scores[:, 2] == 0).all()
    assert np.isfinite(found.scores).all()
    (rgb,) = palette.colours([features])
    assert (rgb[..., 2] == 0.5).all()


def test_colours_mean_the_same_in_all_maps() -> None:
    one, other = RNG.normal(size=(3, 4, 6)), RNG.normal(size=(5, 2, 6))
    other[0, 0] = one[1, 2]
    a, b = palette.colours([one, other])
    assert (a.shape, b.shape) == ((3, 4, 3), (5, 2, 3))
    np.testing.assert_allclose(a[1, 2], b[0, 0])
    both = np.concatenate([a.reshape(-1, 3), b.reshape(-1, 3)])
    np.testing.assert_allclose([both.min(axis=0), both.max(axis=0)], [[0] * 3, [1] * 3], atol=1e-12)
