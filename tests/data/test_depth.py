"""16 bits that are not all used: one factor for a whole sequence, said once."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hcft_jax.data.frames import ImageFiles
from hcft_jax.util.errors import InputError, InputWarning

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def deep(path: Path, pixels: np.ndarray) -> Path:
    """Write 16 bits per channel, grey or RGB."""
    assert cv2.imwrite(
        str(path), pixels.astype(np.uint16)[..., ::-1] if pixels.ndim == 3 else pixels
    )
    return path


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("grey", [True, False])
def test_16_bits_that_are_not_all_used_have_the_first_frames_factor(
    grey: bool, bits: int, tmp_path: Path
) -> None:
    given = [COLOURS[..., 0] if grey else COLOURS, (COLOURS // 3)[..., 0] if grey else COLOURS // 3]
    given[0].reshape(-1)[0] = 255
    paths = [
        deep(tmp_path / f"{i}.png", image.astype(np.uint16) << (bits - 8))
        for i, image in enumerate(given)
    ]
    source = ImageFiles(tuple(paths))
    with pytest.warns(InputWarning, match=rf"0\.png: no value is above .* {bits} bits in 16"):
        second, first = source.read(1), source.read(0)  # whichever comes first
    for seen, expected in zip((first, second), given, strict=True):
        if grey:
            expected = np.repeat(expected[..., None], 3, axis=2)
        np.testing.assert_array_equal(seen, expected)


def test_what_is_brighter_than_the_first_frame_is_white(tmp_path: Path) -> None:
    first = np.full((8, 8), 1000, np.uint16)
    paths = deep(tmp_path / "0.png", first), deep(tmp_path / "1.png", first * 60)
    source = ImageFiles(paths)
    with pytest.warns(InputWarning, match="10 bits in 16"):
        assert (source.read(0) == 250).all()
    assert (source.read(1) == 255).all()


def test_all_16_bits_are_cut_to_the_upper_8_without_a_word(tmp_path: Path) -> None:
    path = deep(tmp_path / "0.png", np.arange(65536, dtype=np.uint16).reshape(256, 256))
    expected = np.repeat(np.arange(256), 256).reshape(256, 256)
    np.testing.assert_array_equal(ImageFiles((path,)).read(0)[..., 1], expected)


def test_a_damaged_deep_image_is_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (64, 64, 3))
    path = deep(tmp_path / "0.png", pixels)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"0\.png: cannot read the image"):
        ImageFiles((path,)).read(0)
