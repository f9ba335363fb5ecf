"""Own pictures are seen as they were taken; the pixels of benchmarks stay as they are stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hcft_jax.data import orientation
from hcft_jax.data.frames import ImageFiles, read_image

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("number", range(1, 9))
def test_an_orientation_is_applied_to_own_pictures_only(
    number: int, kind: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[orientation.EXIF_TAG] = number
    path = tmp_path / "a.image"
    Image.fromarray(COLOURS).save(path, kind, exif=exif)
    with Image.open(path) as image:
        raw = np.asarray(image.convert("RGB"))
        seen = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(ImageFiles((path,)).read(0), raw)
    np.testing.assert_array_equal(ImageFiles((path,), upright=True).read(0), seen)
    assert ImageFiles((path,), upright=True).encoded(0) is None


@pytest.mark.parametrize("content", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_a_damaged_orientation_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOURS).save(path, exif=content)
    np.testing.assert_array_equal(read_image(path, upright=True), read_image(path))


@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0", b"MM\0*", b"MM\0*\0\0\0\x08"]))
def test_any_exif_data_is_read_or_left_alone(data: bytes, start: bytes) -> None:
    assert orientation.of_exif(start + data) in (None, *orientation.EXIF.values())


@pytest.mark.parametrize("angle", range(0, 360, 30))
def test_any_angle_is_the_nearest_quarter(angle: int) -> None:
    a, b = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = orientation.upright(COLOURS, (3 * a, 3 * b, -3 * b, 3 * a))
    np.testing.assert_array_equal(turned, np.rot90(COLOURS, -round(angle / 90)))


def display(a: float, b: float, c: float, d: float) -> bytes:
    values = [round(65536 * v) for v in (a, b, 0, c, d, 0, 0, 0)]
    return np.array([*values, 1 << 30], np.int32).tobytes()


@pytest.mark.parametrize("matrix", orientation.EXIF.values())
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_display_matrix_turns_mirrors_and_stretches(matrix: Any, scale: float) -> None:
    a, b, c, d = matrix
    found = orientation.of_display(display(a, scale * b, c, scale * d))
    assert found is not None
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(
        orientation.upright(image, found), orientation.upright(image, matrix)
    )


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 1, 1), (1, 0, 0, 0), (0, 0, 0, 1), (1, 9000, 0, 1), (1, 1, 1, 1), (0, 99, 1, 0)],
)
def test_a_display_matrix_that_does_anything_else_is_none(matrix: Any) -> None:
    assert orientation.of_display(display(*matrix)) is None


def test_a_display_matrix_of_zeros_turns_nothing() -> None:
    assert orientation.of_display(display(0, 0, 0, 0)) == (1, 0, 0, 1)
