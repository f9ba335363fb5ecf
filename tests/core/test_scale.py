"""The scale filter against the float64 transcription, and what it promises."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.core import double, sampling, scale
from hcft_jax.core.scale import Scale, Scales
from hcft_jax.data.synthetic import Synthetic, synthetic
from tests import reference_scale

SIZE = (96, 120)
TARGET = (24.0, 20.0)
ETA = 0.01


@dataclasses.dataclass(frozen=True)
class Film:
    """A drawn target that grows and shrinks: brightness, and 1-based centres on half pixels."""

    grey: np.ndarray
    centres: np.ndarray


@pytest.fixture(scope="module")
def film() -> Film:
    drawn = Synthetic(frames=6, height=96, width=120, target=TARGET, motion=20.0, scale=0.4)
    sequence = synthetic(drawn)
    images = [sequence.frames.read(i) for i in range(len(sequence))]
    x, y, w, h = sequence.boxes.T
    centres = np.round(2 * np.stack([y + h / 2, x + w / 2], axis=1)) / 2 + 1
    return Film(np.stack([reference_scale.brightness(i) for i in images]), centres)


def made(
    target: tuple[float, float], margin: float, padded: tuple[int, int] | None = None
) -> Scales:
    height, width = scale.sample_size(target, margin)
    own = padded or (int(height), int(width))
    return jax.tree.map(jnp.asarray, scale.scales(target, SIZE, margin, own))


def at(film: Film, index: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What the filter is given of a frame: pixels, extent and 0-based position."""
    return (
        jnp.asarray(film.grey[index], jnp.float32),
        jnp.asarray(SIZE, jnp.int32),
        jnp.asarray(film.centres[index] - 1, jnp.float32),
    )


def followed(fixed: Scales, film: Film, frames: int = 6) -> list[Scale]:
    start, follow = jax.jit(scale.start), jax.jit(scale.follow)
    states = [start(fixed, *at(film, 0))]
    for i in range(1, frames):
        states.append(follow(fixed, states[-1], *at(film, i), ETA))
    return states


def relative(actual: Any, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    ("target", "margin"),
    [
        (TARGET, 8.0),
        ((21.5, 30.25), 0.0),
        ((9.0, 40.0), 8.0),  # enlarged where the window is small
        ((70.0, 30.0), 8.0),  # partly outside the image
    ],
)
@pytest.mark.parametrize("exponent", [0, 7, -30])
def test_samples_are_the_transcribed_ones(
    film: Film, target: tuple[float, float], margin: float, exponent: int
) -> None:
    truth = reference_scale.Scale(target, SIZE, margin, factor=1.02**exponent)
    expected = truth.samples(film.grey[0], film.centres[0])
    product = jnp.asarray(double.encoded(np.array(1.02**exponent)))
    found = jax.jit(scale.samples)(made(target, margin), *at(film, 0), product)
    np.testing.assert_array_equal(found, expected)


def test_samples_are_the_same_without_jit(film: Film, maybe_jit: Any) -> None:
    product = jnp.asarray(double.encoded(np.array(1.0)))
    found = maybe_jit(scale.samples)(made(TARGET, 8.0), *at(film, 1), product)
    expected = reference_scale.Scale(TARGET, SIZE).samples(film.grey[1], film.centres[1])
    np.testing.assert_array_equal(found, expected)


def test_every_frame_agrees_with_the_transcription(film: Film) -> None:
    truth = reference_scale.Scale(TARGET, SIZE)
    exponents = []
    for index, state in enumerate(followed(made(TARGET, 8.0), film)):
        if index == 0:
            truth.start(film.grey[0], film.centres[0])
        else:
            truth.follow(film.grey[index], film.centres[index])
        assert int(state.exponent) == truth.exponent
        np.testing.assert_array_equal(state.product, double.encoded(np.array(truth.factor)))
        half = truth.numerator[:17]
        assert relative(state.numerator, np.stack([half.real, half.imag])) < 1e-4
        assert relative(state.denominator, truth.denominator[:17]) < 1e-4
        exponents.append(truth.exponent)
    assert len(set(exponents)) > 2  # the size did change


def test_padding_of_images_and_samples_changes_nothing(film: Film) -> None:
    exact, wide = made(TARGET, 8.0), made(TARGET, 8.0, (32, 48))
    more = np.pad(film.grey, [(0, 0), (0, 7), (0, 13)], constant_values=200)
    padded = dataclasses.replace(film, grey=more)
    rows, columns = (int(n) // scale.CELL for n in exact.sample)
    for a, b in zip(followed(exact, film, 3), followed(wide, padded, 3), strict=True):
        assert int(a.exponent) == int(b.exponent)
        np.testing.assert_array_equal(a.product, b.product)
        assert a.denominator is not None
        np.testing.assert_allclose(np.asarray(b.denominator), a.denominator, rtol=1e-4)
        cells = np.array(b.numerator).reshape(2, 17, 8, 12, 31)
        inside = cells[:, :, :rows, :columns].reshape(2, 17, -1)
        assert relative(inside, np.asarray(a.numerator)) < 1e-4
        cells[:, :, :rows, :columns] = 0
        assert not cells.any()


def test_batches_are_loops(film: Film) -> None:
    targets = [(24.0, 20.0), (30.0, 15.0)]
    fixed = [made(target, 8.0, (32, 32)) for target in targets]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *fixed)
    pixels, extent, position = (jnp.stack(of) for of in zip(at(film, 0), at(film, 1), strict=True))
    later = [jnp.stack(of) for of in zip(at(film, 2), at(film, 3), strict=True)]

    def both(fixed: Scales, first: Any, second: Any) -> Scale:
        state = scale.start(fixed, *first)
        pixels, extent, position = second
        return scale.follow(fixed, state, pixels, extent, position, ETA)

    mapped = jax.jit(jax.vmap(both))(stacked, (pixels, extent, position), tuple(later))
    for i, own in enumerate(fixed):
        alone = jax.jit(both)(own, at(film, i), at(film, 2 + i))
        found = jax.tree.map(lambda a, i=i: a[i], mapped)
        assert int(found.exponent) == int(alone.exponent)
        np.testing.assert_array_equal(found.product, alone.product)
        assert relative(found.numerator, np.asarray(alone.numerator)) < 1e-4
        assert relative(found.denominator, np.asarray(alone.denominator)) < 1e-4


@pytest.mark.parametrize(
    ("target", "image"),
    [
        ((24.0, 20.0), (96, 120)),
        ((50.0, 20.0), (96, 120)),  # tall
        ((100.0, 90.0), (240, 320)),  # large
        ((90.0, 100.0), (480, 640)),  # large, but not in its image
        ((96.0, 120.0), (96, 120)),  # the whole image
    ],
)
def test_the_limits_are_the_programs(target: tuple[float, float], image: tuple[int, int]) -> None:
    found = scale.scales(target, image, 8.0, (8, 8))
    assert (int(found.least), int(found.most)) == reference_scale.limits(target, image)
    assert scale.sample_size(target, 8.0) == reference_scale.sample_size(target, 8.0)
    with jax.enable_x64(True):
        traced = jax.jit(lambda t, i: scale.scales(tuple(t), tuple(i), 8.0, (8, 8)))(
            jnp.array(target), jnp.array(image, jnp.float64)
        )
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(traced), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_sample_is_no_longer_than_64_pixels() -> None:
    assert scale.sample_size((3.0, 170.0), 0.0) == (3, scale.LONGEST)
    assert scale.sample_size((700.0, 2.0), 0.0) == (scale.LONGEST, 1)


@pytest.mark.parametrize("limit", [2, -3])
def test_a_limit_is_reached_and_kept(film: Film, limit: int) -> None:
    """Every frame shows the target at a size beyond the limit."""
    fixed = made(TARGET, 8.0)
    fixed = dataclasses.replace(
        fixed,
        least=jnp.asarray(min(limit, 0), jnp.int32),
        most=jnp.asarray(max(limit, 0), jnp.int32),
    )
    pixels, extent, position = at(film, 0)
    state = scale.start(fixed, pixels, extent, position)
    follow = jax.jit(scale.follow)
    row, column = (float(p) + 0.5 for p in position)
    times = 1.2 if limit > 0 else 1 / 1.2
    exponents = []
    for _ in range(4):
        rows = np.clip(row + (np.arange(SIZE[0]) + 0.5 - row) / times, 0, SIZE[0] - 1).astype(int)
        columns = np.clip(column + (np.arange(SIZE[1]) + 0.5 - column) / times, 0, SIZE[1] - 1)
        zoomed = film.grey[0][np.ix_(rows, columns.astype(int))]
        state = follow(fixed, state, jnp.asarray(zoomed, jnp.float32), extent, position, ETA)
        exponents.append(int(state.exponent))
    assert exponents[-2:] == [limit, limit]
    np.testing.assert_array_equal(state.product, double.encoded(np.array(1.02**limit)))


@pytest.mark.parametrize("padded", [(16, 48), None], ids=["padded", "alone"])
def test_a_sample_without_a_cell_keeps_the_size(film: Film, padded: tuple[int, int] | None) -> None:
    fixed = made((3.0, 40.0), 0.0, padded)
    assert fixed.sample.tolist() == [3, 40]
    for state in followed(fixed, film, 3):
        assert int(state.exponent) == 0
        assert not np.asarray(state.numerator).any()


def test_a_flat_image_keeps_the_size(film: Film) -> None:
    flat = dataclasses.replace(film, grey=np.full_like(film.grey, 90.0))
    assert [int(s.exponent) for s in followed(made(TARGET, 8.0), flat, 3)] == [0, 0, 0]


def test_factors_are_powers_of_the_step() -> None:
    exponents = np.arange(-400, 401)
    found = scale.factor(jnp.asarray(exponents, jnp.int32))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, (1.02 ** exponents.astype(float)).astype(np.float32))


class TestGrey:
    extent = jnp.array([5, 7], jnp.int32)

    def test_grey_pixels_keep_their_value(self) -> None:
        values = np.arange(256, dtype=np.uint8).reshape(16, 16)
        found = sampling.grey(jnp.asarray(np.stack([values] * 3, axis=-1)), jnp.array([16, 16]))
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, values)

    @pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
    def test_colours_have_matlabs_brightness(self, kind: type) -> None:
        image: np.ndarray = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(kind)
        weighted = image.astype(float) @ np.array([0.2989, 0.587, 0.114])
        tie = np.abs(weighted % 1 - 0.5) < 1e-4  # single precision may decide it otherwise
        with jax.enable_x64(kind is np.float64):
            found = np.asarray(sampling.grey(jnp.asarray(image), jnp.array([40, 50])))
        assert found.dtype == (np.float64 if kind is np.float64 else np.float32)
        expected = reference_scale.brightness(image)
        np.testing.assert_array_equal(found[~tie], expected[~tie])
        assert np.abs(found - expected).max() <= 1

    def test_a_stored_image_has_that_of_the_image_itself(self) -> None:
        image = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
        store = np.full((2, 5 * 7 * 3 + 60), 99, np.uint8)
        store[1, : image.size] = image.ravel()
        slot = jnp.asarray(1, jnp.int32)
        stored = sampling.Stored(jnp.asarray(store), slot, (6, 9))
        found = sampling.grey(stored, self.extent)
        assert found.shape == (6, 9)
        np.testing.assert_array_equal(found[:5, :7], sampling.grey(jnp.asarray(image), self.extent))
