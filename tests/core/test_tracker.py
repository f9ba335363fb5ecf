"""The tracker against the float64 transcription, and what its functions promise."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones import vgg
from hcft_jax.backbones.alexnet import ONE_TOWER
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, filters, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.util import compilation
from hcft_jax.util.boxes import from_file, to_file
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from tests import reference

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=48)
DEEP: dict[str, Any] = {"layers": ("conv3_2", "conv2_2"), "input_size": 48}  # spectra stay partial
ALEX = TrackerConfig(
    backbone="alexnet", layers=("conv5", "conv4", "conv3"), gamma=(1.0, 0.5, 0.02), input_size=67
)
CF2 = replace(SMALL, update="cf2", search="sum")


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(Synthetic(frames=9, height=96, width=120, target=(24, 20), motion=20.0))


@pytest.fixture(scope="module")
def images(sequence: Sequence) -> np.ndarray:
    return np.stack([sequence.frames.read(i) for i in range(len(sequence))])


@pytest.fixture(scope="module")
def alexnet() -> Params:
    """Untrained parameters of the two-tower network."""
    return jax.device_put(lookup.random("alexnet").params)


def relative(actual: Any, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max())


def halves(spectrum: np.ndarray) -> np.ndarray:
    """A whole complex spectrum as the package keeps it."""
    half = spectrum[: spectrum.shape[0] // 2 + 1]
    return np.stack([half.real, half.imag])


def follow(
    params: Params, config: TrackerConfig, images: np.ndarray, box: np.ndarray
) -> tuple[detection.State, list[detection.Output]]:
    state = tracker.init(params, config, images[0], box)
    outputs = []
    for image in images[1:]:
        state, output = tracker.step(params, config, state, image, with_responses=True)
        outputs.append(output)
    return state, outputs


def assert_agreement(
    params: Params,
    config: TrackerConfig,
    state: detection.State,
    truth: reference.Tracker,
    images: np.ndarray,
) -> None:
    """Both trackers step through the images: boxes, responses and state agree in each."""
    for image in images:
        expected = truth.step(image)
        state, output = tracker.step(params, config, state, image, with_responses=True)
        np.testing.assert_allclose(to_file(output.box), truth.box, atol=1e-4)
        assert output.responses is not None
        for i, name in enumerate(config.response_names):
            assert relative(output.responses[i], expected[name]) < 1e-4
            learned = state.filters[i]
            (model,) = map(state.target.transform.complete, learned.model)
            expected_model = np.swapaxes(halves(truth.model[name]), 0, 1)
            assert relative(model.values, expected_model) < 1e-4
            scale = truth.scale[name]
            half = scale[: scale.shape[0] // 2 + 1]
            scale = halves(scale) if config.update == "cf2" else half
            assert relative(learned.scale, scale) < 1e-4


@pytest.mark.parametrize("update", ["cf2", "paper"])
@pytest.mark.parametrize("dft", ["matmul", "fft"])
@pytest.mark.parametrize("config", [CF2, replace(CF2, **DEEP)], ids=["few channels", "many"])
def test_every_part_agrees_with_the_float64_transcription(
    params: Params,
    sequence: Sequence,
    images: np.ndarray,
    config: TrackerConfig,
    update: str,
    dft: str,
) -> None:
    config = replace(config, update=update, dft=dft, eta=0.1)
    box = to_file(np.round(sequence.boxes[0]))
    gamma = dict(zip(config.layers, config.gamma, strict=True))
    truth = reference.Tracker.start(
        params, images[0], box, update=update, gamma=gamma, eta=0.1, size=config.input_size
    )
    state = tracker.init(params, config, images[0], from_file(box))
    assert state.target.transform.shape == truth.grid
    assert_agreement(params, config, state, truth, images[1:])


@pytest.mark.parametrize("update", ["cf2", "paper"])
@pytest.mark.parametrize("config", [SMALL, replace(SMALL, **DEEP)], ids=["few channels", "many"])
def test_padding_changes_nothing(
    params: Params, sequence: Sequence, images: np.ndarray, config: TrackerConfig, update: str
) -> None:
    config = replace(config, update=update)
    exact, outputs = follow(params, config, images, sequence.boxes[0])
    bucket = Bucket(image=(104, 136), grid=(24, 32))
    state = tracker.init(params, config, images[0], sequence.boxes[0], bucket=bucket)
    gh, gw = exact.target.transform.shape
    assert state.target.transform.shape == (24, 32)
    for image, expected in zip(images[1:], outputs, strict=True):
        padded = np.pad(image, ((0, 8), (0, 16), (0, 0)), constant_values=200)
        state, output = tracker.step(params, config, state, padded, with_responses=True)
        np.testing.assert_array_equal(output.box, expected.box)
        np.testing.assert_allclose(output.psr, expected.psr, rtol=1e-3)
        assert output.responses is not None
        assert relative(output.responses[:, :gh, :gw], np.asarray(expected.responses)) < 1e-4
        assert not np.asarray(output.responses)[:, gh:].any()


def test_targets_of_a_bucket_share_an_executable(params: Params, images: np.ndarray) -> None:
    def run(box: tuple[float, ...], size: tuple[int, int]) -> None:
        image = images[0, : size[0], : size[1]]
        state = tracker.init(params, SMALL, image, box, bucket=Bucket((96, 120), (24, 24)))
        jax.block_until_ready(tracker.track(params, SMALL, state, images[1:4], 3))

    run((40, 30, 20, 24), (96, 120))
    before = compilation.total()
    run((10, 20, 31, 15), (90, 100))
    run((30, 5, 12, 30), (80, 120))
    assert (compilation.total() - before).executables == 0


def test_alexnet_agrees_with_the_transcription_too(
    alexnet: Params, sequence: Sequence, images: np.ndarray
) -> None:
    config = replace(ALEX, search="sum", eta=0.1)
    box = to_file(np.round(sequence.boxes[0]))
    truth = reference.Tracker.start(
        alexnet,
        images[0],
        box,
        update="paper",
        gamma=dict(zip(config.layers, config.gamma, strict=True)),
        eta=0.1,
        size=67,
        network=reference.alexnet,
    )
    state = tracker.init(alexnet, config, images[0], from_file(box))
    assert_agreement(alexnet, config, state, truth, images[1:4])


@pytest.mark.slow
def test_the_trained_network_agrees_with_the_transcription(
    imagenet: Params, sequence: Sequence, images: np.ndarray
) -> None:
    config = TrackerConfig(update="cf2", search="sum")
    box = to_file(np.round(sequence.boxes[0]))
    truth = reference.Tracker.start(imagenet, images[0], box)
    state = tracker.init(imagenet, config, images[0], from_file(box))
    assert_agreement(imagenet, config, state, truth, images[1:4])


def test_a_step_is_the_same_without_jit(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    _, compiled = follow(params, SMALL, images[:3], sequence.boxes[0])
    with jax.disable_jit():
        _, eager = follow(params, SMALL, images[:3], sequence.boxes[0])
    for a, b in zip(compiled, eager, strict=True):
        np.testing.assert_array_equal(a.box, b.box)
        assert relative(a.responses, np.asarray(b.responses)) < 1e-4
        np.testing.assert_allclose(a.psr, b.psr, rtol=1e-3)


@pytest.mark.parametrize("config", [SMALL, CF2], ids=["paper", "cf2"])
def test_a_drawn_target_is_followed(
    params: Params, sequence: Sequence, images: np.ndarray, config: TrackerConfig
) -> None:
    _, outputs = follow(params, config, images, sequence.boxes[0])
    for output, box in zip(outputs, sequence.boxes[1:], strict=True):
        assert np.abs(np.asarray(output.box) - box)[:2].max() < 5  # a cell and its rounding


def test_scanned_chunks_are_steps_one_after_the_other(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    last, outputs = follow(params, SMALL, images, sequence.boxes[0])
    state = tracker.init(params, SMALL, images[0], sequence.boxes[0])
    boxes = []
    for start in range(1, 9, 3):
        chunk = images[start : start + 3]
        padded = np.concatenate([chunk, np.zeros((3 - len(chunk), *chunk.shape[1:]), np.uint8)])
        state, output = tracker.track(params, SMALL, state, padded, len(chunk))
        boxes += list(np.asarray(output.box[: len(chunk)]))
        assert not np.asarray(output.box[len(chunk) :]).any()
    np.testing.assert_array_equal(boxes, [output.box for output in outputs])
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_tracking_no_frame_leaves_the_state(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    state = tracker.init(params, SMALL, images[0], sequence.boxes[0])
    copy = jax.tree.map(jnp.copy, state)
    same, _ = tracker.track(params, SMALL, copy, images[1:3], 0)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sequence_and_new_constants_need_one_executable(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    def run(config: TrackerConfig) -> None:
        state = tracker.init(params, config, images[0], sequence.boxes[0])
        for count in (3, 3, 1):
            state, _ = tracker.track(params, config, state, images[1:4], count)
        jax.block_until_ready(state)

    run(SMALL)
    before = compilation.total()
    run(SMALL)
    run(replace(SMALL, gamma=(0.3, 1.0), eta=0.5, lambda_=0.1, sigma=0.2, radius=2.0))
    assert (compilation.total() - before).executables == 0
    run(replace(SMALL, search="sum"))
    assert (compilation.total() - before).executables > 0  # the count does count


def test_layers_may_come_in_any_order(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    swapped = replace(SMALL, layers=SMALL.layers[::-1], gamma=SMALL.gamma[::-1])
    _, outputs = follow(params, SMALL, images[:3], sequence.boxes[0])
    _, others = follow(params, swapped, images[:3], sequence.boxes[0])
    assert swapped.response_names == ("conv2_2", "conv1_2")
    np.testing.assert_array_equal(outputs[-1].responses, others[-1].responses)


def test_gamma_weighs_the_layer_it_stands_for(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    alone = replace(SMALL, layers=("conv1_2",), gamma=(1.0,))
    weighted = replace(SMALL, gamma=(0.0, 1.0), radius=1e3)
    _, outputs = follow(params, alone, images[:3], sequence.boxes[0])
    _, others = follow(params, weighted, images[:3], sequence.boxes[0])
    for a, b in zip(outputs, others, strict=True):
        np.testing.assert_array_equal(a.box, b.box)
        np.testing.assert_allclose(a.peak, b.peak, rtol=1e-4)


def test_a_hypercolumn_is_one_filter_on_all_channels(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    config = replace(SMALL, hypercolumn=True)
    state, outputs = follow(params, config, images, sequence.boxes[0])
    (learned,) = state.filters
    assert filters.channels(learned.model) == vgg.WIDTHS[1] + vgg.WIDTHS[2]
    assert outputs[0].responses is not None
    assert outputs[0].responses.shape == (1, *state.target.transform.shape)
    assert np.abs(np.asarray(outputs[-1].box) - sequence.boxes[-1])[:2].max() < 5


@pytest.mark.parametrize("layer", vgg.LAYERS)
def test_every_layer_alone_can_be_tracked_on(
    params: Params, sequence: Sequence, images: np.ndarray, layer: str
) -> None:
    config = replace(SMALL, layers=(layer,), gamma=(1.0,))
    state = tracker.init(params, config, images[0], sequence.boxes[0])
    _, output = tracker.step(params, config, state, images[0])
    np.testing.assert_array_equal(output.box, detection.box(state))  # the same frame: it stayed
    assert output.psr > 5


def test_the_input_is_as_large_as_in_the_training_unless_it_is_set(
    params: Params, alexnet: Params
) -> None:
    one_tower = alexnet | {"architecture": ONE_TOWER}
    assert TrackerConfig().input_side(params) == 224
    assert replace(ALEX, input_size=None).input_side(alexnet) == 227
    assert replace(ALEX, input_size=None).input_side(one_tower) == 224
    assert ALEX.input_side(alexnet) == 67


def test_sequences_can_be_batched(params: Params, sequence: Sequence, images: np.ndarray) -> None:
    state = tracker.init(params, SMALL, images[0], sequence.boxes[0])
    states = jax.tree.map(lambda a: jnp.stack([a, a]), state)
    one = jax.vmap(lambda s, image: tracker.step(params, SMALL, s, image)[1].box)
    boxes = one(states, images[1:3])
    for image, box in zip(images[1:3], boxes, strict=True):
        np.testing.assert_allclose(tracker.step(params, SMALL, state, image)[1].box, box, atol=1e-4)


def test_gradients_reach_the_constants_and_the_network(
    params: Params, sequence: Sequence, images: np.ndarray
) -> None:
    def loss(config: TrackerConfig, params: Params) -> jax.Array:
        state = tracker.init(params, config, images[0], sequence.boxes[0])
        for image in images[1:3]:
            state, output = tracker.step(params, config, state, image)
        return output.peak

    config, network = jax.grad(loss, argnums=(0, 1))(SMALL, params)
    for value in (*config.gamma, config.eta, config.lambda_, config.sigma):
        assert np.isfinite(value)
        assert value != 0
    assert np.abs(network["conv1_1"]["kernel"]).max() > 0


def test_grey_levels_may_be_floats(params: Params, sequence: Sequence, images: np.ndarray) -> None:
    _, outputs = follow(params, SMALL, images[:2], sequence.boxes[0])
    _, floats = follow(params, SMALL, images[:2].astype(np.float32), sequence.boxes[0])
    np.testing.assert_array_equal(outputs[0].responses, floats[0].responses)


def test_the_box_keeps_its_size_and_may_sit_on_half_pixels(
    params: Params, images: np.ndarray
) -> None:
    state = tracker.init(params, SMALL, images[0], (40, 30, 21, 24))
    np.testing.assert_array_equal(detection.box(state), [39.5, 30.0, 21.0, 24.0])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((10, 10, 0, 20), "is empty"),
        ((10, 10, 20, -5), "is empty"),
        ((200, 10, 20, 20), "outside the image of 120 x 96"),
        ((-30, 10, 20, 20), "outside the image"),
        ((-10, 0, 200, 20), "larger than the image"),
        ((0, 0, 20, 97), "larger than the image"),
        ((10, 10, 1, 30), "too thin to track"),
        ((10, 10, 30, 1), "too thin to track"),
        ((10, 10, np.nan, 20), "four finite numbers"),
        (np.ones((3, 3, 3)), r"an array of shape \(3, 3, 3\) is not four finite numbers"),
        (np.ones((2, 2)), r"first box: \[\[1\. 1\.\] \[1\. 1\.\]\] is not four"),
        ((10, 10, 20), "four finite numbers"),
    ],
)
def test_a_first_box_that_cannot_be_tracked_is_refused(
    params: Params, images: np.ndarray, box: tuple[float, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tracker.init(params, SMALL, images[0], box)


def test_a_first_box_partly_outside_is_tracked(params: Params, images: np.ndarray) -> None:
    state = tracker.init(params, SMALL, images[0], (-8, -6, 24, 24))
    _, output = tracker.step(params, SMALL, state, images[0])
    np.testing.assert_array_equal(output.box, [-8, -6, 24, 24])


@pytest.mark.parametrize("shape", [(96, 120), (96, 120, 4), (2, 96, 120, 3)])
def test_an_image_of_another_shape_is_refused(params: Params, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\[height, width, 3\]"):
        tracker.init(params, SMALL, np.zeros(shape, np.uint8), (10, 10, 20, 20))


def test_a_frame_of_another_size_is_refused(params: Params, images: np.ndarray) -> None:
    state = tracker.init(params, SMALL, images[0], (10, 10, 20, 20))
    with pytest.raises(InputError, match="the first one"):
        tracker.step(params, SMALL, state, images[0, :50])


def test_constants_out_of_range_are_refused(params: Params, images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"eta: 1\.5"):
        tracker.init(params, replace(SMALL, eta=1.5), images[0], (10, 10, 20, 20))


def test_each_layer_may_have_its_own_learning_rate(
    params: Params, images: np.ndarray, sequence: Sequence
) -> None:
    def learned(eta: float | tuple[float, ...]) -> Any:
        state, _ = follow(params, replace(SMALL, eta=eta), images[:3], sequence.boxes[0])
        return jax.tree.map(np.asarray, state.filters)

    # in the order of the configuration's layers; filters are deepest first
    slow, fast, own = learned(0.1), learned(0.4), learned((0.1, 0.4))
    swapped = replace(SMALL, layers=SMALL.layers[::-1], gamma=SMALL.gamma[::-1], eta=(0.4, 0.1))
    state, _ = follow(params, swapped, images[:3], sequence.boxes[0])
    for found in (own, jax.tree.map(np.asarray, state.filters)):
        for index, single in enumerate((slow, fast)):
            pairs = zip(found[index].model, single[index].model, strict=True)
            for part, expected in pairs:
                np.testing.assert_allclose(part.values, expected.values, rtol=1e-5, atol=1e-3)
    assert np.abs(own[1].model[0].values - slow[1].model[0].values).max() > 1.0


def test_the_size_that_responds_most_is_chosen() -> None:
    growing = synthetic(
        Synthetic(seed=3, frames=10, height=140, width=180, target=(40.0, 30.0), scale=0.5)
    )
    config = settings.derive("dcf", scale="cnn", scales=7).tracker
    network: dict[str, Any] = {}
    state = tracker.init(network, config, growing.frames.read(0), growing.boxes[0])
    for index in range(1, 10):
        state, output = tracker.step(network, config, state, growing.frames.read(index))
    true = growing.boxes[-1, 2] / growing.boxes[0, 2]
    found = float(output.box[2]) / growing.boxes[0, 2]
    assert true > 1.2
    assert abs(np.log(found / true)) < 0.1


def test_a_size_stays_within_the_image() -> None:
    drawn = synthetic(Synthetic(frames=2, height=60, width=80, target=(24, 20), motion=5.0))
    config = replace(settings.load("kcf").tracker, scale="cnn")
    state = tracker.init({}, config, drawn.frames.read(0), drawn.boxes[0])
    for number, bound in ((-1000, 5 / 50), (1000, 60 / 24)):
        sized = detection.resized(config, state, jnp.asarray(number, jnp.int32))
        factor = float(detection.box(sized)[2]) / 20
        assert 1 / 1.03 < factor / bound < 1.03
