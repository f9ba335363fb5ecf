"""Gradients through the tracker against finite differences in float64, and their material."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.core import differentiable, search, spectrum, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util.errors import SettingError
from hcft_jax.weights import lookup
from tests.small import NAME, SMALL

FRAMES = 4
CONFIG = dataclasses.replace(SMALL, eta=(0.02, 0.03, 0.05), temperature=0.1)
VIDEO = synthetic(Synthetic(frames=FRAMES, height=64, width=80, target=(18.0, 22.0), motion=12.0))
PADDED = Bucket((72, 96), (16, 18))
HANN = np.array([0.5, -0.5])


@pytest.fixture(scope="module")
def drawn() -> Any:
    return lookup.random(NAME).params


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64():
        yield


def centres() -> np.ndarray:
    x, y, w, h = VIDEO.boxes.T
    return np.stack([y + h / 2, x + w / 2], axis=1)


def problem(
    drawn: Any, config: TrackerConfig, bucket: Bucket | None, dtype: Any
) -> tuple[Callable[..., jax.Array], Any, TrackerConfig, jax.Array]:
    """A loss of parameters, constants and the window's weights, and where it is taken."""
    target, position = tracker.begin(drawn, config, VIDEO.boxes[0], (64, 80), bucket)
    frames = np.stack([VIDEO.frames.read(i) for i in range(FRAMES)])
    more = [(0, most - own) for own, most in zip((64, 80), target.image, strict=True)]
    images = jnp.asarray(np.pad(frames, [(0, 0), *more, (0, 0)]), dtype)
    own, position = differentiable.cast((target, position), dtype)
    basis = None
    if config.dft == "matmul":
        found = differentiable.windows(drawn, config, VIDEO.boxes[0], (64, 80), bucket=bucket)
        basis = differentiable.cast(found, dtype)
    true = jnp.asarray(centres()[1:], dtype)

    def loss(params: Any, config: TrackerConfig, window: jax.Array) -> jax.Array:
        target = own if basis is None else differentiable.windowed(own, basis, window)
        state = tracker.start(params, config, target, images[0], position)
        seen = differentiable.unroll(params, config, state, images[1:])
        value = jnp.mean(differentiable.cross_entropy(config, target, seen, true))
        if config.search == "soft":
            corner = seen.output.box[:, 1::-1]
            value = value + 0.01 * jnp.mean(
                jnp.square(corner + 0.5 * seen.output.box[:, 3:1:-1] - true)
            )
        return value

    params, config = differentiable.cast((drawn, config), dtype)
    return loss, params, config, jnp.asarray(HANN, dtype)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("changes", "bucket"),
    [
        pytest.param({}, None, marks=pytest.mark.slow, id="exact"),
        pytest.param({}, PADDED, marks=pytest.mark.slow, id="padded"),
        pytest.param({"search": "soft"}, PADDED, marks=pytest.mark.slow, id="soft"),
        pytest.param({"update": "cf2", "search": "sum"}, PADDED, id="cf2"),
        pytest.param(
            {"dft": "fft", "hypercolumn": True, "eta": 0.02},
            None,
            marks=pytest.mark.slow,
            id="fft, hypercolumn",
        ),
    ],
)
def test_gradients_are_those_of_finite_differences(
    drawn: Any, changes: dict[str, Any], bucket: Bucket | None
) -> None:
    config = dataclasses.replace(CONFIG, **changes)
    loss, *point = problem(drawn, config, bucket, np.float64)
    leaves, treedef = jax.tree.flatten(tuple(point))
    flat = jax.jit(lambda *leaves: loss(*jax.tree.unflatten(treedef, leaves)))
    gradient = jax.jit(jax.grad(lambda leaves: flat(*leaves)))(leaves)
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(tuple(point))]
    rng = np.random.default_rng(0)
    checked = []
    for index, (path, leaf, slope) in enumerate(zip(paths, leaves, gradient, strict=True)):
        direction = rng.standard_normal(leaf.shape) * (float(jnp.abs(leaf).max()) or 1.0)
        expected = float(np.sum(np.asarray(slope) * direction))

        def difference(step: float, index: int = index, direction: Any = direction) -> float:
            sides = (
                float(flat(*leaves[:index], leaves[index] + s * direction, *leaves[index + 1 :]))
                for s in (step, -step)
            )
            return (next(sides) - next(sides)) / (2 * step)

        # a larger step may cross a ReLU's kink, a smaller one is rounded: one of them agrees, to
        # 1e-4 of what a random direction's derivative usually is
        usual = float(jnp.linalg.norm(slope.ravel())) * np.sqrt(np.mean(direction**2))
        steps = (1e-7, 1e-6, 1e-8)
        apart = [abs(difference(step) - expected) for step in steps]
        assert min(apart) <= 1e-4 * usual + 5e-8, (path, expected, usual, apart)
        if expected:
            checked.append(path)
    names = " ".join(checked)
    for name in ("lambda_", "sigma", "temperature", "block1_depthwise", "stem", "eta"):
        assert name in names, f"{name} has no gradient"
    assert config.hypercolumn or "gamma" in names
    assert config.dft == "fft" or paths[-1] in checked, "the window has no gradient"


@pytest.mark.slow
def test_padding_changes_no_gradient(drawn: Any) -> None:
    exact, padded = (
        jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*point)
        for loss, *point in (problem(drawn, CONFIG, b, np.float32) for b in (None, PADDED))
    )
    for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(padded), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=1e-3 * max(1e-3, np.abs(a).max()))


def test_the_unrolled_frames_are_those_of_track(drawn: Any) -> None:
    images = np.stack([VIDEO.frames.read(i) for i in range(FRAMES)])
    state = tracker.init(drawn, CONFIG, images[0], VIDEO.boxes[0])
    seen = differentiable.unroll(drawn, CONFIG, state, jnp.asarray(images[1:]))
    _, output = tracker.track(drawn, CONFIG, state, images[1:], FRAMES - 1)
    np.testing.assert_array_equal(seen.output.box, output.box)
    np.testing.assert_array_equal(seen.searched[1:], np.asarray(output.box)[:-1, 1::-1] + [9, 11])


@pytest.mark.slow
def test_memory_of_an_unroll_grows_by_states_and_not_by_maps(drawn: Any) -> None:
    def temporary(count: int) -> int:
        images = jnp.zeros((count + 1, 64, 80, 3), jnp.uint8)
        target, position = tracker.begin(drawn, CONFIG, VIDEO.boxes[0], (64, 80))

        def loss(params: Any) -> jax.Array:
            state = tracker.start(params, CONFIG, target, images[0], position)
            seen = differentiable.unroll(params, CONFIG, state, images[1:])
            return jnp.sum(seen.output.responses)  # type: ignore[arg-type]

        analysis = jax.jit(jax.grad(loss)).lower(drawn).compile().memory_analysis()
        assert analysis is not None
        return int(analysis.temp_size_in_bytes)

    target, position = tracker.begin(drawn, CONFIG, VIDEO.boxes[0], (64, 80))
    state = jax.eval_shape(
        lambda p: tracker.start(p, CONFIG, target, jnp.zeros((64, 80, 3), jnp.uint8), position),
        drawn,
    )
    of_a_state = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(state.filters))
    assert (temporary(16) - temporary(4)) / 12 < 3 * of_a_state


def test_the_weights_of_hann_give_the_target_itself(drawn: Any) -> None:
    for bucket in (None, PADDED):
        target, _ = tracker.begin(drawn, CONFIG, VIDEO.boxes[0], (64, 80), bucket)
        basis = differentiable.windows(
            drawn, CONFIG, VIDEO.boxes[0], (64, 80), orders=3, bucket=bucket
        )
        own = differentiable.windowed(target, basis, jnp.array([0.5, -0.5, 0.0]))
        for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(target), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6 * max(1.0, np.abs(b).max()))


def test_a_size_that_is_followed_is_refused(drawn: Any) -> None:
    config = dataclasses.replace(CONFIG, scale="dsst")
    images = np.stack([VIDEO.frames.read(i) for i in range(2)])
    state = tracker.init(drawn, CONFIG, images[0], VIDEO.boxes[0])
    with pytest.raises(SettingError, match=r"^scale: "):
        differentiable.unroll(drawn, config, state, jnp.asarray(images[1:]))


def test_an_fft_has_no_windows_as_data(drawn: Any) -> None:
    config = dataclasses.replace(CONFIG, dft="fft")
    with pytest.raises(ValueError, match="only matmul"):
        differentiable.windows(drawn, config, VIDEO.boxes[0], (64, 80))


class TestDivergence:
    @staticmethod
    def target(drawn: Any, bucket: Bucket | None = None) -> Any:
        return tracker.begin(drawn, CONFIG, VIDEO.boxes[0], (64, 80), bucket)[0]

    @pytest.mark.parametrize("moved", [(0.0, 0.0), (2.0, -1.5)])
    @pytest.mark.parametrize("bucket", [None, PADDED], ids=["exact", "padded"])
    def test_it_is_zero_for_the_label_itself(
        self, drawn: Any, moved: tuple[float, float], bucket: Bucket | None
    ) -> None:
        target = self.target(drawn, bucket)
        spread = np.asarray(spectrum.deviation(jnp.asarray(target.size), CONFIG.sigma, target.cell))
        shape, grid = target.transform.shape, np.asarray(target.transform.grid)
        rows, columns = (
            np.exp(-0.5 * np.square((np.arange(n) - moved[i] - grid[i] // 2) / spread[i]))
            for i, n in enumerate(shape)
        )
        response = CONFIG.temperature / differentiable.LABEL * np.outer(rows, columns)
        found = differentiable.divergence(
            CONFIG, target, jnp.asarray(response, jnp.float32), jnp.array(moved)
        )
        assert abs(float(found)) < 1e-5
        other = differentiable.divergence(
            CONFIG, target, jnp.asarray(response, jnp.float32), jnp.array(moved) + 1
        )
        assert float(other) > 0.1

    @pytest.mark.parametrize("moved", [(np.nan, 0.0), (0.0, 99.0)])
    def test_a_target_unknown_or_outside_counts_nothing(
        self, drawn: Any, moved: tuple[float, float]
    ) -> None:
        target = self.target(drawn)
        response = jnp.ones(target.transform.shape)
        value, slope = jax.value_and_grad(
            lambda r: differentiable.divergence(CONFIG, target, r, jnp.array(moved))
        )(response)
        assert float(value) == 0
        assert not np.asarray(slope).any()


def test_the_expected_cell_of_a_cold_softmax_is_the_peak() -> None:
    rng = np.random.default_rng(1)
    response = jnp.asarray(rng.random((12, 15)), jnp.float32)
    peak = search.locate(response)
    found = search.expect(response, peak, 1e-4, (12, 15))
    np.testing.assert_allclose(found, peak, atol=1e-3)


def test_the_expected_cell_of_a_bump_between_cells_is_between_them() -> None:
    rows, columns = np.mgrid[:20, :20]
    bump = np.exp(-((rows - 8.3) ** 2 + (columns - 11.6) ** 2) / 8)
    peak = jnp.array([8, 12], jnp.int32)
    found = search.expect(jnp.asarray(bump, jnp.float32), peak, 0.1, (20, 20))
    np.testing.assert_allclose(found, [8.3, 11.6], atol=0.1)


def test_the_example_of_the_guide_learns(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(__file__).parents[2].joinpath("docs/guides/differentiable.md").read_text()
    (code,) = re.findall(r"```python\n(\"\"\"Which window.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) < 50
    with jax.numpy_dtype_promotion("standard"):  # optax promotes its step counter
        exec(compile(code, "differentiable.md", "exec"), {"__name__": "example"})
    losses = [float(n) for n in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert losses[-1] < 0.97 * losses[0]


def test_the_sum_is_of_normalized_responses_where_the_search_is(drawn: Any) -> None:
    config = dataclasses.replace(CONFIG, normalized=True)
    target, _ = tracker.begin(drawn, config, VIDEO.boxes[0], (64, 80), PADDED)
    responses = np.random.default_rng(0).uniform(-1, 2, (2, 3, *PADDED.grid)).astype(np.float32)
    rows, columns = map(int, target.transform.grid)
    most = responses[..., :rows, :columns].max((-2, -1), keepdims=True)
    expected = np.einsum("klij,l->kij", responses / most, np.array(config.response_weights))
    total = differentiable.total(config, target, jnp.asarray(responses))
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
