import jax.numpy as jnp
import numpy as np
import pytest

from experiments.exhibits import activations
from hcft_jax.backbones.vgg import Params
from hcft_jax.core import sampling
from hcft_jax.util.errors import InputError

RNG = np.random.default_rng(0)


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
    shown = activations.frame_features(
        params, frame, [41, 31, 20, 16], layers=("conv1_2", "conv2_2"), input_size=32
    )
    x, y, w, h = (int(v) for v in shown.window)
    assert (h, w) == sampling.geometry((16, 20), (90, 120)).window
    assert list(shown.box) == [40, 30, 20, 16]
    # a window that is not resized is the frame's own pixels there
    crop = sampling.crop(sampling.geometry((16, 20), (90, 120)), (h, w))
    patch = sampling.patch(jnp.asarray(frame), sampling.View(jnp.array([38.0, 50.0])), crop)
    np.testing.assert_allclose(patch, frame[y : y + h, x : x + w], atol=1e-4)
    assert [m.shape for m in shown.maps.values()] == [(32, 32, 64), (16, 16, 128)]
    figure = activations.figure4([shown, shown])
    assert len(figure.axes) == 6
    with pytest.raises(InputError, match="first box"):
        activations.frame_features(params, frame, [200, 30, 20, 16])


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
