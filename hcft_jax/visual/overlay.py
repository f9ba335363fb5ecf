"""Pictures of a track: a video of the boxes over the frames with a panel of response maps.

Boxes are 0-based (x, y, w, h) in pixels (``hcft_jax.util.boxes``) and frames are RGB uint8
``[H, W, 3]``. Nothing here opens a GUI.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.visual.film import Film

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating[Any]]
Colour = tuple[int, int, int]

RED: Colour = (255, 40, 40)  # the tracked box
GREEN: Colour = (40, 220, 40)  # the ground truth
ORANGE: Colour = (255, 160, 0)  # the tracked box where the target counts as lost
GREY: Colour = (200, 200, 200)  # the search window
WHITE: Colour = (255, 255, 255)

_MIN_HEIGHT = 360  # smaller frames are enlarged, so that text and the panel's maps are legible
_MARGIN, _CAPTION = 6, 20  # pixels around and above a response map in the panel
_AROUND = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
_SHIFT = 4  # OpenCV draws at 1/16 pixel


class OverlayWriter(Film):
    """An .mp4 that is written frame by frame: boxes over the frame, response maps beside it.

    ::

        with OverlayWriter("track.mp4", layers=("conv5_4", "conv4_4", "conv3_4")) as video:
            video.draw(frame, box, truth, responses, window, "PSR 9.3")

    The file appears when the block ends; after an exception there is no file.
    """

    def __init__(self, path: str | Path, fps: float = 30.0, layers: Sequence[str] = ()):
        """Begin a video at ``path`` (.mp4) with one map in the panel for each named layer.

        Raises:
            InputError: the path does not end in .mp4.
        """
        super().__init__(path, fps)
        self.layers = tuple(layers)
        self._drawn = 0

    def draw(
        self,
        frame: Image,
        box: npt.ArrayLike,
        truth: npt.ArrayLike | None = None,
        responses: Array | None = None,
        window: tuple[float, float, float, float] | None = None,
        text: str = "",
    ) -> None:
        """Append a frame. Whatever lies outside the frame is cut off.

        Args:
            frame: ``[H, W, 3]`` uint8 RGB; all frames have one size.
            box: The tracked box, drawn red. A box that is not finite or has no area is not drawn.
            truth: The ground truth box, drawn green under the same condition.
            responses: ``[L, gh, gw]``, one map per layer; its middle means no displacement. Each is
                scaled to its own range; a cross marks its maximum. None leaves the panel dark.
            window: Top, left, height, width in pixels of the search window that the maps span.
            text: It is written after the frame number.

        Raises:
            InputError: the frame has another size than the first, or cannot be written.
        """
        self._drawn += 1
        outlines = []
        if window is not None:
            top, left, height, width = window
            outlines.append(Outline((left, top, width, height), GREY, 1))
        if truth is not None:
            outlines.append(Outline(truth, GREEN))
        outlines.append(Outline(box, RED))
        picture = outlined(frame, outlines, f"#{self._drawn}  {text}".rstrip())
        if self.layers:
            aspect = 1.0 if window is None else window[3] / window[2]
            panel = response_panel(picture.shape[0], self.layers, responses, aspect)
            picture = np.concatenate([picture, panel], axis=1)
        self.write(picture)


class Outline(NamedTuple):
    """A box to draw over a frame: 0-based (x, y, w, h), the line's colour and width, a name."""

    box: npt.ArrayLike
    colour: Colour
    width: int = 2
    name: str = ""


def enlargement(frame: Image) -> int:
    """Return the integer factor by which a frame is enlarged, so that text and maps are legible."""
    return -(-_MIN_HEIGHT // frame.shape[0])


def outlined(frame: Image, outlines: Iterable[Outline], text: str) -> Image:
    """Return a copy of a frame ``[H, W, 3]``, enlarged if small, with boxes and a line of text."""
    scale = enlargement(frame)
    picture = _resize(frame, (scale * frame.shape[1], scale * frame.shape[0]))
    for box, colour, width, name in outlines:
        draw_box(picture, box, scale, colour, width)
        if name and np.isfinite(np.asarray(box)).all():
            x, y = (scale * np.asarray(box)[:2]).clip(0, 1e6).astype(int).tolist()
            draw_text(picture, name, (x, max(12, y - 6)), 0.5)
    draw_text(picture, text, (8, 24), 0.6)
    return picture


def _resize(picture: Image, size: tuple[int, int]) -> Image:
    """Return a bilinearly resized copy, ``size`` = (width, height), that may be drawn on."""
    return np.array(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def draw_box(picture: Image, box: npt.ArrayLike, scale: int, colour: Colour, width: int) -> None:
    """Outline a box of the frame's pixels in ``picture``, which is ``scale`` times the frame."""
    values = np.asarray(box, np.float64)
    x, y, w, h = np.clip(values, -1e100, 1e100)  # so that no sum below overflows
    if not np.isfinite(values).all() or w <= 0 or h <= 0:
        return
    # The outline runs through the centres of the outermost pixels, at integer coordinates.
    corners = np.array([[x, y], [max(x, x + w - 1), max(y, y + h - 1)]])
    corners = (corners + 0.5) * scale - 0.5
    # Far corners would overflow OpenCV's fixed-point numbers, so they are moved just out of sight.
    limit = np.array([picture.shape[1], picture.shape[0]]) + 8.0
    first, last = np.rint(np.clip(corners, -8.0, limit) * 2**_SHIFT).astype(int).tolist()
    cv2.rectangle(picture, first, last, colour, width, cv2.LINE_AA, _SHIFT)


def draw_text(picture: Image, text: str, origin: tuple[int, int], size: float) -> None:
    """Write white text with a dark outline into a picture.

    Args:
        picture: RGB uint8 ``[H, W, 3]``.
        text: What to write.
        origin: (x, y) of the left end of its base line, in pixels.
        size: Of the letters, in OpenCV's measure.
    """
    x, y = origin  # The outline is shifted copies: thicker letters would stand further apart.
    black: Colour = (0, 0, 0)
    for dx, dy, colour in [(*step, black) for step in _AROUND] + [(0, 0, WHITE)]:
        place = (x + dx, y + dy)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def response_panel(
    height: int, layers: Sequence[str], responses: Array | None, aspect: float
) -> Image:
    """Draw response maps ``[L, gh, gw]`` one below the other, or only their names for None.

    Args:
        height: The height of the panel; its width P depends on this and on the number of maps only.
        layers: The names of the maps.
        responses: The maps.
        aspect: The width of each picture by its height.

    Returns:
        The panel ``[height, P, 3]``, RGB.
    """
    maps = [None] * len(layers) if responses is None else [*responses]
    return _panel(height, layers, maps, _heat_map, aspect)


def colour_panel(height: int, maps: Mapping[str, Array], aspect: float) -> Image:
    """Draw maps ``[h, w, 3]`` in [0, 1], by name, in the same way as ``response_panel``."""
    return _panel(height, [*maps], [*maps.values()], _colour_map, aspect)


def _panel(
    height: int,
    names: Sequence[str],
    maps: Sequence[Array | None],
    paint: Callable[[Array, tuple[int, int]], Image],  # a map and its picture's (width, height)
    aspect: float,
) -> Image:
    tile = height // len(names)
    drawn = np.full((height, tile + 2 * _MARGIN, 3), 24, np.uint8)
    room = tile - _CAPTION - 2 * _MARGIN  # for the longer side of a map
    for index, (name, values) in enumerate(zip(names, maps, strict=True)):
        top = index * tile + _CAPTION
        draw_text(drawn, name, (_MARGIN, top - 4), 0.45)
        if values is None or room < 2:
            continue
        size = max(2, round(room * min(1, aspect))), max(2, round(room * min(1, 1 / aspect)))
        left = (drawn.shape[1] - size[0]) // 2
        drawn[top + 2 : top + 2 + size[1], left : left + size[0]] = paint(values, size)
    return drawn


def _colour_map(values: Array, size: tuple[int, int]) -> Image:
    """Paint a map ``[h, w, 3]`` of values in [0, 1]; ``size`` = (width, height)."""
    return _resize((255 * np.clip(values, 0, 1)).astype(np.uint8), size)


def _heat_map(response: Array, size: tuple[int, int]) -> Image:
    """Paint a response map ``[gh, gw]`` and a cross at its maximum; ``size`` = (width, height)."""
    values = np.nan_to_num(np.asarray(response, np.float32), posinf=0.0, neginf=0.0)
    span = np.ptp(values)
    levels = (255 * (values - values.min()) / span if span else np.zeros_like(values)).astype("u1")
    coloured = cv2.applyColorMap(_resize(levels, size), cv2.COLORMAP_VIRIDIS)  # BGR
    picture = np.array(coloured[..., ::-1], np.uint8)
    row, column = np.unravel_index(values.argmax(), values.shape)
    x = int((column + 0.5) * size[0] / values.shape[1])
    y = int((row + 0.5) * size[1] / values.shape[0])
    cv2.drawMarker(picture, (x, y), RED, cv2.MARKER_CROSS, 9, 1)
    return picture
