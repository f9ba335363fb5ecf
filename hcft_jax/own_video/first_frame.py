"""The first frame of a video with a grid and coordinates, to read a box off without a screen.

Coordinates are those of ``--box``: pixels of the frame, 0-based, x to the right and y downwards.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import SettingError
from hcft_jax.util.files import replacing
from hcft_jax.visual import overlay
from hcft_jax.visual.overlay import GREY, RED, Outline

ENDINGS = (".png", ".jpg", ".jpeg")
_LINES = 10  # of the grid across the longer side, at most
_STEPS = (1, 2, 5)  # times a power of ten: pixels between lines
_FAINT = 0.45  # how much of a line's colour covers the picture

Image = npt.NDArray[np.uint8]


def write(path: str | Path, image: Image, boxes: Iterable[npt.ArrayLike] = ()) -> str:
    """Write the picture, and return a line for the user.

    Args:
        path: The file, .png or .jpg.
        image: The frame, RGB uint8 ``[H, W, 3]``.
        boxes: Boxes (x, y, w, h) to draw in it, so that they can be looked at before tracking.

    Raises:
        InputError: The file has another ending, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise SettingError("preview", f"{path}: name a file that ends in {', '.join(ENDINGS)}")
    drawn = picture(image, boxes)
    sound, content = cv2.imencode(path.suffix.lower(), drawn[..., ::-1])
    assert sound
    with replacing(path) as temporary:
        temporary.write_bytes(content.tobytes())
    height, width = image.shape[:2]
    return (
        f"{path}: the first frame, {width} x {height} px, with a line every {step(image)} px; "
        "give the target by --box=x,y,w,h"
    )


def step(image: Image) -> int:
    """Return the pixels of the frame between two lines of the grid.

    Args:
        image: The frame ``[H, W, 3]``.
    """
    least = max(image.shape[:2]) / _LINES
    power = 1
    while True:
        for factor in _STEPS:
            if factor * power >= least:
                return factor * power
        power *= 10


def picture(image: Image, boxes: Iterable[npt.ArrayLike] = ()) -> Image:
    """Return the frame, enlarged if it is small, with a line and its coordinate every ``step`` px.

    Args:
        image: The frame, RGB uint8 ``[H, W, 3]``.
        boxes: Boxes (x, y, w, h) to draw in it.
    """
    scale, apart = overlay.enlargement(image), step(image)
    height, width = image.shape[:2]
    outlines = [Outline(box, RED) for box in boxes]
    drawn = overlay.outlined(image, outlines, "")
    lines = drawn.copy()
    for x in range(0, width, apart):
        lines[:, scale * x] = GREY
    for y in range(0, height, apart):
        lines[scale * y] = GREY
    drawn = np.asarray(cv2.addWeighted(lines, _FAINT, drawn, 1 - _FAINT, 0), np.uint8)
    for x in range(apart, width, apart):
        overlay.draw_text(drawn, str(x), (scale * x + 2, 12), 0.4)
    for y in range(apart, height, apart):
        overlay.draw_text(drawn, str(y), (2, scale * y - 3), 0.4)
    return drawn
