"""Checksums of PNG files are compared, also of the part that has the pixels."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from hcft_jax.data import png
from hcft_jax.data.frames import read_image
from hcft_jax.util.errors import InputError

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def saved() -> bytes:
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", "of somebody")
    into = io.BytesIO()
    Image.fromarray(COLOURS).save(into, "PNG", pnginfo=about)
    return into.getvalue()


SOUND = saved()
PIXELS = SOUND.index(b"IDAT")


def changed(at: int) -> bytes:
    return SOUND[:at] + bytes([SOUND[at] ^ 1]) + SOUND[at + 1 :]


@given(st.integers(PIXELS, SOUND.index(b"IEND") - 5))
def test_a_bit_among_the_pixels_is_found_as_opencv_finds_it(at: int) -> None:
    content = changed(at)
    assert png.damaged(content) == PIXELS - 4
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None


def test_such_a_picture_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "0001.png"
    path.write_bytes(changed(PIXELS + 500))
    with pytest.raises(InputError, match=rf"0001.png: .*damaged.*byte {PIXELS - 4}"):
        read_image(path)


@pytest.mark.parametrize(
    "content",
    [
        SOUND,
        SOUND + b"appended",
        changed(SOUND.index(b"of somebody")),
        SOUND[:PIXELS],
        SOUND[: PIXELS + 50],
        png.SIGNATURE,
    ],
)
def test_sound_appended_truncated_and_text_are_not_its_matter(content: bytes) -> None:
    assert png.damaged(content) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_judged(content: bytes) -> None:
    png.damaged(png.SIGNATURE + content)
