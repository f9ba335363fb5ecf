"""Gradients against finite differences, templates against NumPy's FFT, layers one by one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.inspect_filter import inspection
from experiments.inspect_filter.inspection import ALL, Look
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import resize, sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.differentiable import cast
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.together import track_together
from hcft_jax.weights import lookup
from tests.small import LAYERS, NAME, SMALL

CONFIG = replace(SMALL, input_size=32)
DRAWN = Synthetic(frames=4, height=64, width=80, target=(16, 12), motion=12.0)


@pytest.fixture(scope="module")
def drawn() -> Params:
    return lookup.random(NAME).params


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(DRAWN)


@pytest.fixture(scope="module")
def look(drawn: Params, sequence: Sequence) -> Look:
    """Return the third frame, whose filters have been updated once."""
    return list(inspection.looks(drawn, CONFIG, sequence))[1]


@pytest.fixture
def double(drawn: Params, sequence: Sequence) -> Iterator[tuple[Params, Look]]:
    """Return the second frame, computed in float64."""
    first, second = (sequence.frames.read(i) for i in range(2))
    target, position = tracker.begin(drawn, CONFIG, sequence.boxes[0], (64, 80))
    with jax.enable_x64(True):
        params, config, target = (cast(tree, np.float64) for tree in (drawn, CONFIG, target))
        image = jnp.asarray(first, np.float64)
        state = tracker.start(params, config, target, image, jnp.asarray(position, np.float64))
        image = jnp.asarray(second, np.float64)
        _, output = tracker.step(params, config, state, image, with_responses=True)
        yield params, Look(config, 2, second, sequence.boxes[1], state, output)


def test_gradients_are_finite_differences_of_the_responses(double: tuple[Params, Look]) -> None:
    params, look = double
    _, (row, column) = look.combined
    image = look.frame.astype(np.float64)

    def scores(image: np.ndarray) -> Any:
        _, output = tracker.step(
            params, look.config, look.state, jnp.asarray(image), with_responses=True
        )
        assert output.responses is not None
        return np.asarray(output.responses)[:, row, column]

    found = inspection.gradients(params, look)
    assert (found.shape, found.dtype) == ((3, 64, 80, 3), np.float64)
    strongest = np.argsort(-np.abs(found).max(axis=0).ravel())[[0, 7, 50, 500]]
    for place in (np.unravel_index(index, image.shape) for index in strongest):
        change = np.zeros_like(image)
        change[place] = 1e-5
        expected = (scores(image + change) - scores(image - change)) / 2e-5
        assert np.abs(expected).max() > 0
        of_layers = found[(slice(None), *place)]
        np.testing.assert_allclose(of_layers, expected, rtol=1e-5, atol=1e-6 * abs(expected).max())
        np.testing.assert_allclose(
            inspection.summed(look.config, found)[place],
            np.dot((1, 0.5, 0.02), expected),
            rtol=1e-4,
        )


def test_gradients_are_of_the_score_that_the_tracker_has(look: Look) -> None:
    total, peak = look.combined
    assert total[peak] == pytest.approx(float(look.output.peak), rel=1e-6)
    still = np.array(total.shape) // 2
    moved = look.moved(look.found)
    assert moved is not None
    np.testing.assert_allclose(moved, np.asarray(look.state.target.cell) * (peak - still))
    np.testing.assert_allclose(look.place(peak), look.position + moved)


@pytest.mark.parametrize("corner", [False, True])
def test_pixels_outside_of_the_search_window_count_nothing(drawn: Params, corner: bool) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 64, 80, 3), np.uint8)
    box = [1, 1, 12, 16] if corner else [30, 20, 12, 16]
    state = tracker.init(drawn, CONFIG, frames[0], box)
    _, output = tracker.step(drawn, CONFIG, state, frames[1], with_responses=True)
    look = Look(CONFIG, 2, frames[1], np.full(4, np.nan), state, output)
    found = np.abs(inspection.gradients(drawn, look)).max(axis=(0, 3))
    x, y, w, h = look.window
    assert (x < 0 and y < 0) == corner
    inside = np.zeros_like(found, bool)
    inside[max(y, 0) : y + h, max(x, 0) : x + w] = True
    assert (found[~inside] == 0).all()
    # every row and column of the window that is in the frame is looked at
    assert (found[inside].reshape(min(h, h + y), -1).max(axis=1) > 0).all()
    assert (found[inside].reshape(min(h, h + y), -1).max(axis=0) > 0).all()


def test_the_window_is_the_one_that_is_cropped(look: Look) -> None:
    x, y, w, h = look.window
    geometry = sampling.geometry((16, 12), (64, 80))
    assert (h, w) == geometry.window
    crop = sampling.crop(geometry, (h, w))  # not resized: the frame's own pixels
    view = sampling.View(look.state.position)
    patch = sampling.patch(jnp.asarray(look.frame), view, crop)
    np.testing.assert_allclose(patch, look.frame[y : y + h, x : x + w], atol=1e-4)


def test_the_share_in_a_box_counts_pixels_by_their_centres() -> None:
    gradient = np.ones((4, 5, 3), np.float32)
    gradient[1, 2] = 2.0
    assert inspection.share(gradient, np.array([2.0, 1, 1, 1])) == pytest.approx(4 / 23)
    assert inspection.share(gradient, np.array([1.6, 0.4, 1, 1.2])) == pytest.approx(5 / 23)
    assert inspection.share(gradient, np.array([-9.0, -9, 99, 99])) == 1.0
    assert inspection.share(np.zeros((4, 5, 3)), np.array([0.0, 0, 5, 4])) == 0.0


@pytest.mark.parametrize(
    "changes",
    [{}, {"dft": "fft"}, {"update": "cf2"}, {"hypercolumn": True}],
    ids=["matmul", "fft", "cf2", "hypercolumn"],
)
def test_responses_are_the_templates_correlated_with_the_windowed_features(
    drawn: Params, sequence: Sequence, changes: dict[str, Any]
) -> None:
    config = replace(CONFIG, **changes)
    look = list(inspection.looks(drawn, config, sequence))[2]
    templates = inspection.templates(config, look.state)
    gh, gw = look.responses.shape[1:]
    view = sampling.View(look.state.position)
    patch = sampling.patch(jnp.asarray(look.frame), view, look.state.target.crop)
    maps = tracker.features(drawn, config, patch)
    # the search's windowed features, by plain NumPy
    x = []
    for name in LAYERS:
        values = np.asarray(maps[name], np.float64)
        up, across = (resize.matrix(m, n) for m, n in zip(values.shape[:2], (gh, gw), strict=True))
        hann = np.outer(np.hanning(gh), np.hanning(gw))
        x.append(hann * np.einsum("iy,yxd,jx->dij", up, values, across))
    if config.hypercolumn:
        x = [np.concatenate(x)]
    assert [t.shape for t in templates] == [of.shape for of in x]
    for template, of, response in zip(templates, x, look.responses, strict=True):
        spectra = np.fft.fft2(of) * np.conj(np.fft.fft2(template))
        by_fft = np.fft.fftshift(np.fft.ifft2(spectra.sum(axis=0)).real)
        scale = float(np.abs(response).max())
        np.testing.assert_allclose(by_fft, response, atol=2e-4 * scale)
        # and as a sum over cells, without any transform
        for m, n in ((0, 0), (2, -1)):
            moved = np.roll(of, (-m, -n), axis=(1, 2))
            expected = response[gh // 2 + m, gw // 2 + n]
            assert (template * moved).sum() == pytest.approx(expected, abs=2e-4 * scale)


def test_settings_have_all_layers_all_but_one_and_one() -> None:
    config = TrackerConfig(
        layers=("conv3_4", "conv5_4", "conv4_4"), gamma=(0.02, 1.0, 0.5), eta=(0.3, 0.1, 0.2)
    )
    found = inspection.variants(config)
    assert list(found) == [
        ALL,
        *(f"without {name}" for name in ("conv5_4", "conv4_4", "conv3_4")),
        *(f"{name} alone" for name in ("conv5_4", "conv4_4", "conv3_4")),
    ]
    assert found[ALL] == config
    without = found["without conv4_4"].validate()
    assert (without.layers, without.gamma, without.eta) == (
        ("conv3_4", "conv5_4"),
        (0.02, 1.0),
        (0.3, 0.1),
    )
    alone = found["conv4_4 alone"].validate()
    assert (alone.layers, alone.gamma, alone.eta) == (("conv4_4",), (1.0,), (0.2,))
    two = replace(config, layers=config.layers[:2], gamma=(1.0, 0.5), eta=0.01)
    assert list(inspection.variants(two)) == [ALL, "conv5_4 alone", "conv3_4 alone"]
    one = replace(config, layers=("conv4_4",), gamma=(1.0,), eta=0.01)
    assert list(inspection.variants(one)) == [ALL]


def test_effects_are_scored_setting_by_setting(drawn: Params, sequence: Sequence) -> None:
    settings = {"right": CONFIG, "wrong": replace(CONFIG, gamma=(1.0, 0.0, 0.0))}
    seen = list(track_together(drawn, list(settings.values()), sequence))
    # one setting is exactly right, and one misses by 3 and 4 px in the last frame
    for frame, box in zip(seen, sequence.boxes, strict=True):
        frame.boxes[:] = box
    seen[-1].boxes[1, :2] += (3, 4)
    found = inspection.effects(settings, sequence, seen)
    assert list(found) == list(settings)
    right, wrong = found.values()
    np.testing.assert_allclose(right.errors, 0, atol=1e-5)
    np.testing.assert_allclose(wrong.errors, [0, 0, 0, 5], atol=1e-5)
    assert right.scores is not None
    assert right.scores.dp20 == 1.0
    assert wrong.scores is not None
    assert wrong.scores.cle == pytest.approx(1.25, abs=1e-5)
    assert right.psr == pytest.approx(np.mean([s.psr[0] for s in seen[1:]]))


def test_unknown_truth_is_a_gap_and_no_score(drawn: Params, sequence: Sequence) -> None:
    boxes = sequence.boxes.copy()
    boxes[1:] = np.nan
    blind = replace(sequence, boxes=boxes)
    seen = list(track_together(drawn, [CONFIG], blind))
    effect = inspection.effects({ALL: CONFIG}, blind, seen)[ALL]
    assert effect.scores is None
    assert np.isnan(effect.errors).tolist() == [False, True, True, True]
    (*_, look) = inspection.looks(drawn, CONFIG, blind)
    assert look.moved(look.truth) is None
