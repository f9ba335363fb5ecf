"""fHOG against a transcription of the toolbox's C program, and against what such a program stored.

``fhog_toolbox.npz`` keeps what a C program makes of three small pictures. That program was not
compiled from the toolbox's files: the functions gradMag and fhog of channels/private/
gradientMex.cpp (github.com/pdollar/toolbox, version 3.30, Simplified BSD licence), and those they
call, were typed once more, without MATLAB's interface and reduced to this path: 9 orientations,
softBin -1 and clip 0.2. g++ 12.2 -O2 compiled it on an x86-64 processor. ``exact`` is of the same
program with the two approximate instructions, _mm_rcp_ps and _mm_rsqrt_ps, replaced by divisions.
"""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hcft_jax.backbones.fhog import CHANNELS, fhog
from tests.reference_fhog import from_angle, from_table, transcription

Floats = npt.NDArray[np.float64]
STORED = Path(__file__).parent / "fhog_toolbox.npz"
SIZES = [  # with the side of a cell; none but the first fills its cells
    ((40, 52), 4),
    ((41, 55), 4),
    ((23, 22, 3), 4),
    ((17, 14), 1),
    ((12, 13, 3), 1),
    ((33, 35, 3), 3),
    ((9, 11), 2),
    ((7, 30), 4),  # a single row of cells
    ((30, 6, 3), 4),  # a single column
    ((7, 6), 4),  # a single cell
]


def picture(shape: tuple[int, ...], seed: int = 0) -> Floats:
    """Noise of 8 bits whose lower rows are flat."""
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.float64)
    values[-shape[0] // 3 :] = 90
    return values


@pytest.mark.parametrize(("shape", "cell"), SIZES)
def test_it_is_the_transcribed_program(shape: tuple[int, ...], cell: int) -> None:
    image = (picture(shape) / (255 if shape[0] % 2 else 1)).astype(np.float32)
    found = jax.jit(fhog, static_argnums=1)(jnp.asarray(image), cell)
    assert found.shape == (shape[0] // cell, shape[1] // cell, CHANNELS)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, transcription(image.astype(np.float64), cell), atol=1e-5)


def test_it_runs_without_jit(maybe_jit: Any) -> None:
    image = picture((23, 22, 3)).astype(np.float32)
    found = maybe_jit(lambda values: fhog(values, 4))(jnp.asarray(image))
    np.testing.assert_allclose(found, transcription(image.astype(np.float64), 4), atol=1e-5)


def test_the_table_of_arc_cosines_is_reproduced_at_its_steps() -> None:
    """Cosines close to each split, where the program's table and an angle may disagree."""
    degrees = np.repeat(np.arange(10, 360, 20), 5)
    cosine = np.cos(np.deg2rad(degrees)) + np.tile([-5e-5, -2e-5, 2e-5, 5e-5, 9e-5], 18)
    sine = np.where(degrees < 180, 1, -1) * np.sqrt(1 - cosine**2)
    y, x = np.mgrid[:4, :4]
    ramps = cosine[:, None, None] * x + sine[:, None, None] * y
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(fhog, static_argnums=1)(jnp.asarray(ramps[..., None]), 1))
    table = [from_table(gx, gy, 1.0) for gx, gy in zip(cosine, sine, strict=True)]
    assert found[:, 2, 2, :18].argmax(-1).tolist() == table
    angle = [from_angle(gx, gy, 1.0) for gx, gy in zip(cosine, sine, strict=True)]
    assert table != angle  # else the table would not matter here


def test_the_table_changes_few_pixels_of_noise() -> None:
    gx, gy = np.random.default_rng(0).normal(size=(2, 20_000)).tolist()
    table = [from_table(x, y, math.hypot(x, y)) for x, y in zip(gx, gy, strict=True)]
    angle = [from_angle(x, y, 1.0) for x, y in zip(gx, gy, strict=True)]
    share = np.mean(np.array(table) != np.array(angle))
    assert 0 < share < 1.2e-3  # 5.3e-4 by the distances of the splits from the angles'


def test_a_bin_is_the_direction_in_which_the_image_brightens() -> None:
    turns = np.arange(18)[:, None, None] / 18 * 2 * np.pi
    y, x = np.mgrid[:16, :16]
    ramps = x * np.cos(turns) + y * np.sin(turns)
    found = np.asarray(fhog(jnp.asarray(ramps[..., None], jnp.float32), 4))[:, 1, 1]
    np.testing.assert_array_equal(found[:, :18] > 1e-3, np.eye(18, dtype=bool))
    np.testing.assert_array_equal(found[:, 18:27] > 1e-3, np.tile(np.eye(9, dtype=bool), (2, 1)))


@pytest.mark.parametrize("name", ["grey", "colour", "pixels"])
def test_it_is_what_the_toolbox_computes(name: str) -> None:
    with np.load(STORED) as stored:
        image, cell = stored[f"{name}_image"], int(stored[f"{name}_cell"])
        exact, program = stored[f"{name}_exact"], stored[f"{name}_program"]
    found = np.asarray(fhog(jnp.asarray(image, jnp.float32), cell))
    np.testing.assert_allclose(found, exact, atol=1e-5)
    off = np.abs(found - program)
    # its approximate instructions; in a few cells they move a pixel to the next bin
    assert np.mean(off < 2e-4) > 0.97
    assert off.mean() < 1e-3


PADDED = {c: jax.jit(lambda image, size, c=c: fhog(image, c, size)) for c in (1, 4)}


@settings(max_examples=40)
@given(
    st.integers(0, 14), st.integers(0, 17), st.sampled_from([1, 4]), st.sampled_from([0.0, np.nan])
)
def test_padding_changes_nothing(height: int, width: int, cell: int, padding: float) -> None:
    assume(cell > 1 or min(height, width) != 1)  # a single pixel has no gradient
    image = picture((14, 17, 2), seed=height).astype(np.float32)
    padded = np.full_like(image, padding)
    padded[:height, :width] = image[:height, :width]
    found = PADDED[cell](jnp.asarray(padded), jnp.asarray([height, width], jnp.int32))
    expected = np.zeros(found.shape)
    if min(height, width) >= max(cell, 2):
        alone = transcription(image[:height, :width].astype(np.float64), cell)
        expected[: height // cell, : width // cell] = alone
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_padded_image_has_the_features_of_the_image_alone() -> None:
    image = jnp.asarray(picture((24, 29, 3)), jnp.float32)
    found = jax.jit(fhog, static_argnums=1)(image, 4, jnp.asarray([18, 23], jnp.int32))
    np.testing.assert_allclose(found[:4, :5], fhog(image[:18, :23], 4), atol=1e-6)
    assert not np.asarray(found)[4:].any()
    assert not np.asarray(found)[:, 5:].any()


def test_sizes_may_be_floats() -> None:
    image = jnp.asarray(picture((24, 29)), jnp.float32)
    found = fhog(image, 4, jnp.asarray([17.0, 21.0], jnp.float32))
    np.testing.assert_array_equal(found, fhog(image, 4, jnp.asarray([17, 21], jnp.int32)))


@pytest.mark.parametrize("shape", [pytest.param((16, 21), marks=pytest.mark.slow), (17, 16, 3)])
def test_gradients_are_central_differences(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    image, weights, way = (
        rng.uniform(0, 1, shape),
        rng.normal(size=(4, 4, 31)),
        rng.normal(size=shape),
    )

    def objective(values: jax.Array) -> jax.Array:
        return jnp.sum(fhog(values, 4)[:4, :4] * weights)

    with jax.enable_x64(True):
        slope = np.sum(np.asarray(jax.grad(objective)(jnp.asarray(image))) * way)
        ahead, behind = (
            float(objective(jnp.asarray(image + step * way))) for step in (1e-7, -1e-7)
        )
    assert abs(slope) > 1e-2
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-7, rtol=1e-5)


@pytest.mark.parametrize("cell", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_gradients_are_finite_where_the_image_is_flat_or_padded(cell: int) -> None:
    image = picture((24, 29))
    image[:, 20:] = np.nan

    def objective(values: jax.Array) -> jax.Array:
        return jnp.sum(fhog(values, cell, jnp.asarray([24, 20], jnp.int32)) ** 2)

    found = np.asarray(jax.grad(objective)(jnp.asarray(image, jnp.float32)))
    assert np.isfinite(found).all()
    assert np.abs(found[:, :20]).max() > 0
    assert not found[:, 20:].any()
    flat = jax.grad(lambda values: jnp.sum(fhog(values, cell)))(jnp.full((12, 12), 0.5))
    assert not np.asarray(flat).any()


def test_batches_are_loops() -> None:
    images = jnp.asarray(picture((3, 22, 23, 3)), jnp.float32)
    sizes = jnp.asarray([[22, 23], [13, 20], [8, 9]], jnp.int32)
    mapped = jax.vmap(lambda image, size: fhog(image, 4, size))(images, sizes)
    loop = [fhog(image, 4, size) for image, size in zip(images, sizes, strict=True)]
    np.testing.assert_allclose(mapped, np.stack(loop), atol=1e-6)
    leading = fhog(images, 4)
    np.testing.assert_allclose(leading, np.stack([fhog(image, 4) for image in images]), atol=1e-6)


def test_the_precision_is_that_of_the_image() -> None:
    image = picture((23, 22, 3))
    with jax.enable_x64(True):
        double = fhog(jnp.asarray(image), 4)
        single = fhog(jnp.asarray(image, jnp.float32), 4, jnp.asarray([23.0, 22.0]))
    assert (double.dtype, single.dtype) == (jnp.float64, jnp.float32)
    np.testing.assert_allclose(double, transcription(image, 4), atol=1e-12)


@pytest.mark.parametrize(
    ("image", "cell"),
    [
        (np.zeros((8, 8), np.uint8), 4),
        (np.zeros(8, np.float32), 4),
        (np.zeros((3, 9), np.float32), 4),
        (np.zeros((1, 9), np.float32), 1),
        (np.zeros((8, 8), np.float32), 0),
    ],
)
def test_what_has_no_features_is_refused(image: npt.NDArray[Any], cell: int) -> None:
    with pytest.raises(ValueError, match=r"px|floats"):
        fhog(jnp.asarray(image), cell)
