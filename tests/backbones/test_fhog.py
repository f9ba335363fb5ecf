"""fHOG against a transcription of the toolbox's C program, and against that program itself.

No package offers it: OpenCV has other features of this name (HOGDescriptor is Dalal and Triggs';
CSRT's are not exposed), and so have dlib and VLFeat. So ``fhog_toolbox.npz`` keeps what the C
program makes of three small pictures. It was compiled by g++ 12.2 -O2 from the functions gradMag
and fhog, and those they call, of channels/private/gradientMex.cpp (github.com/pdollar/toolbox,
version 3.30, Simplified BSD licence), without MATLAB's interface, with 9 orientations, softBin -1
and clip 0.2, on an x86-64 processor. ``exact`` is of the same program with the two approximate
instructions, _mm_rcp_ps and _mm_rsqrt_ps, replaced by divisions.
"""

import math
from collections.abc import Callable
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


def from_table(gx: float, gy: float, magnitude: float) -> int:
    """The direction as the program finds it: an arc cosine of a cosine cut to 1e-4."""
    cosine = math.trunc(1e4 * (-gx if gy < 0 else gx) / magnitude) / 1e4
    angle = math.acos(cosine) + (math.pi if gy < 0 else 0)
    return int(angle * 18 / (2 * math.pi) + 0.5 + 1e-12) % 18  # 90 and 270 degrees round up


def from_angle(gx: float, gy: float, magnitude: float) -> int:
    """The direction without a table."""
    return int(math.atan2(gy, gx) % (2 * math.pi) * 18 / (2 * math.pi) + 0.5 + 1e-12) % 18


def gradient(image: Floats, y: int, x: int) -> tuple[float, float]:
    """(gx, gy) of the channel with the largest gradient."""
    height, width, colours = image.shape
    best, found = -1.0, (0.0, 0.0)
    for c in range(colours):
        left, right = max(x - 1, 0), min(x + 1, width - 1)
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        gx = (image[y, right, c] - image[y, left, c]) / (right - left)
        gy = (image[below, x, c] - image[above, x, c]) / (below - above)
        if gx * gx + gy * gy > best:
            best, found = gx * gx + gy * gy, (gx, gy)
    return found


def norms(energy: Floats, cell: int) -> Floats:
    """The norms at the corners of cells, and the program's order of filling them."""
    rows, columns = energy.shape
    n = np.zeros((rows + 1, columns + 1))
    n[1:, 1:] = energy
    for x in range(1, columns):
        for y in range(1, rows):
            total = n[y, x] + n[y + 1, x] + n[y, x + 1] + n[y + 1, x + 1]
            n[y, x] = 1 / math.sqrt(total + 1e-4 / 4 / cell**4)
    n[0, 0] = n[1, 1]
    n[:, 0] = n[:, 1]
    n[rows, 0] = n[rows - 1, 1]
    n[0, columns] = n[1, columns - 1]
    n[:, columns] = n[:, columns - 1]
    n[rows, columns] = n[rows - 1, columns - 1]
    n[0, :] = n[1, :]
    n[rows, :] = n[rows - 1, :]
    return n


def transcription(
    image: Floats, cell: int, direction: Callable[[float, float, float], int] = from_table
) -> Floats:
    """The program in plain loops, in float64."""
    image = image.reshape(*image.shape[:2], -1)
    rows, columns = image.shape[0] // cell, image.shape[1] // cell
    signed = np.zeros((rows, columns, 18))
    for y in range(rows * cell):
        for x in range(columns * cell):
            gx, gy = gradient(image, y, x)
            magnitude = max(math.hypot(gx, gy), 1e-10)
            o = direction(gx, gy, magnitude)
            v, u = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
            for g in (math.floor(v), math.floor(v) + 1):
                for k in (math.floor(u), math.floor(u) + 1):
                    if 0 <= g < rows and 0 <= k < columns:
                        share = (1 - abs(v - g)) * (1 - abs(u - k))
                        signed[g, k, o] += share * magnitude / cell**2
    for edge in (np.s_[0], np.s_[rows - 1], np.s_[:, 0], np.s_[:, columns - 1]):
        signed[edge] *= 8 / 7
    unsigned = signed[..., :9] + signed[..., 9:]
    n = norms((unsigned**2).sum(-1), cell)
    features = np.zeros((rows, columns, 31))
    for g in range(rows):
        for k in range(columns):
            for c, (i, j) in enumerate([(g + 1, k + 1), (g, k + 1), (g + 1, k), (g, k)]):
                for o in range(18):
                    value = min(signed[g, k, o] * n[i, j], 0.2)
                    features[g, k, o] += 0.5 * value
                    features[g, k, 27 + c] += 0.2357 * value
                for o in range(9):
                    features[g, k, 18 + o] += 0.5 * min(unsigned[g, k, o] * n[i, j], 0.2)
    return features


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


@settings(deadline=None, max_examples=40)
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


@pytest.mark.parametrize("shape", [(16, 21), (17, 16, 3)])
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


@pytest.mark.parametrize("cell", [1, 4])
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
