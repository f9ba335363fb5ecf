"""Images as callers give them, besides arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcft_jax.run.images import prepared
from hcft_jax.util.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
GREY = np.repeat(RGB[..., :1], 3, axis=2)


def of(image: Any, color: str = "rgb") -> Any:
    return np.asarray(prepared(image, None, color)[0])


def test_a_path_is_the_picture_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(RGB).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png"), "~/a.png"):
        np.testing.assert_array_equal(of(path, "bgr"), RGB)
    with pytest.raises(InputError, match=r"absent\.png"):
        of("absent.png")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(RGB).convert("RGBA"), RGB),
        (Image.fromarray(GREY[..., 0]), GREY),
        (Image.fromarray(GREY[..., 0]).convert("LA"), GREY),
        (Image.fromarray(GREY[..., 0]).convert("P"), GREY),
        (Image.fromarray(GREY[..., 0] > 99), 255 * (GREY > 99)),
        (Image.fromarray(GREY[..., 0].astype(np.uint16) * 257), GREY),
        (Image.fromarray(GREY[..., 0].astype(np.float32)), GREY),
    ],
    ids=["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "F"],
)
def test_an_image_of_pillow_has_the_colours_that_it_shows(
    image: Image.Image, expected: np.ndarray
) -> None:
    np.testing.assert_array_equal(of(image, "bgr"), expected)


def test_a_palette_is_looked_up() -> None:
    coloured = Image.fromarray(RGB).quantize(256)
    np.testing.assert_array_equal(of(coloured), np.asarray(coloured.convert("RGB")))


def test_blue_may_come_first() -> None:
    np.testing.assert_array_equal(of(RGB[..., ::-1], "bgr"), RGB)
