import jax.numpy as jnp
import numpy as np
import pytest

from experiments.exhibits import activations
from hcft_jax.backbones.vgg import Params
from hcft_jax.core import sampling
from hcft_jax.util.errors import InputError

RNG = np.random.default_rng(0)


def test_components_are_the_eigenvectors_of_the_covariance() -> None:
    features = RNG.normal(size=(7, 9, 6)) @ RNG.normal(size=(6, 6)) + 3
    found = activations.principal_components(features)
    rows = features.reshape(-1, 6)
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    np.testing.assert_allclose(found.variances, values[::-1][:3], rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(found.axes * vectors.T[::-1][:3], axis=1)), 1)
    np.testing.assert_allclose(found.scores, (rows - rows.mean(axis=0)) @ found.axes.T, atol=1e-10)
    np.testing.assert_allclose(found.scores.var(axis=0), found.variances, rtol=1e-10)


def test_signs_do_not_depend_on_the_order_of_places() -> None:
    features = RNG.normal(size=(40, 5))
    order = RNG.permutation(40)
    one, other = (activations.principal_components(f) for f in (features, features[order]))
    np.testing.assert_allclose(one.scores[order], other.scores, atol=1e-12)
    assert (one.axes.max(axis=1) >= -one.axes.min(axis=1)).all()


@pytest.mark.parametrize("features", [np.ones((4, 4, 5)), RNG.normal(size=(4, 4, 2))])
def test_features_of_few_dimensions_leave_the_rest_zero(features: np.ndarray) -> None:
    found = activations.principal_components(features)
    assert found.scores.shape == (16, 3)
    assert (found.scores[:, 2] == 0).all()
    assert np.isfinite(found.scores).all()
    (rgb,) = activations.colours([features])
    assert (rgb[..., 2] == 0.5).all()


def test_colours_mean_the_same_in_all_maps() -> None:
    one, other = RNG.normal(size=(3, 4, 6)), RNG.normal(size=(5, 2, 6))
    other[0, 0] = one[1, 2]
    a, b = activations.colours([one, other])
    assert (a.shape, b.shape) == ((3, 4, 3), (5, 2, 3))
    np.testing.assert_allclose(a[1, 2], b[0, 0])
    both = np.concatenate([a.reshape(-1, 3), b.reshape(-1, 3)])
    np.testing.assert_allclose([both.min(axis=0), both.max(axis=0)], [[0] * 3, [1] * 3], atol=1e-12)


def test_the_step_is_in_the_middle() -> None:
    image = activations.step_edge(8, 10, 20)
    assert image.shape == (8, 8, 3)
    assert image[:, :, 0].tolist() == [[10] * 4 + [20] * 4] * 8


@pytest.mark.parametrize("width", [2, 4, 8])
def test_spread_is_the_width_of_the_change(width: int) -> None:
    # one channel that rises over some pixels: the mean square distance of as many equal steps
    size = 64
    ramp = np.clip((np.arange(size) - (size / 2 - 0.5) + width / 2) / width, 0, 1)
    features = np.broadcast_to(ramp[None, :, None], (size, size, 1))
    found = activations.edge(features, size)
    steps = np.diff(ramp)
    at = np.arange(1, size) - size / 2
    expected = np.sqrt((steps**2 * at**2).sum() / (steps**2).sum())
    assert found.spread == pytest.approx(expected)
    assert found.spread == pytest.approx(width / np.sqrt(12), rel=0.5)
    np.testing.assert_allclose(found.profile, ramp, atol=1e-12)


def test_the_window_shown_is_the_one_the_tracker_crops(params: Params) -> None:
    frame = RNG.integers(0, 255, (90, 120, 3), np.uint8)
    shown = activations.shown(
        params, frame, [41, 31, 20, 16], layers=("conv1_2", "conv2_2"), input_size=32
    )
    x, y, w, h = (int(v) for v in shown.window)
    assert (h, w) == sampling.geometry((16, 20), (90, 120)).window
    assert list(shown.box) == [40, 30, 20, 16]
    # a window that is not resized is the frame's own pixels there
    crop = sampling.crop(sampling.geometry((16, 20), (90, 120)), (h, w))
    patch = sampling.patch(jnp.asarray(frame), jnp.array([38.0, 50.0]), crop)
    np.testing.assert_allclose(patch, frame[y : y + h, x : x + w], atol=1e-4)
    assert [m.shape for m in shown.maps.values()] == [(32, 32, 64), (16, 16, 128)]
    figure = activations.figure4([shown, shown])
    assert len(figure.axes) == 6
    with pytest.raises(InputError, match="first box"):
        activations.shown(params, frame, [200, 30, 20, 16])


def test_an_untrained_network_makes_a_whole_figure(params: Params) -> None:
    found = activations.edges(params, layers=("conv1_2", "conv2_2"), size=32)
    assert found["conv2_2"].colours.shape == (16, 16, 3)
    assert found["conv1_2"].profile.shape == (32,)
    figure = activations.figure2(found)
    assert len(figure.axes) == 6
    np.testing.assert_array_equal(figure.axes[4].lines[0].get_ydata(), found["conv1_2"].profile)


def test_deeper_layers_localise_the_edge_less(imagenet: Params) -> None:
    found = activations.edges(imagenet)
    spreads = [found[name].spread for name in ("conv3_4", "conv4_4", "conv5_4")]
    assert spreads[0] * 2 < spreads[1] < spreads[2] / 1.5
