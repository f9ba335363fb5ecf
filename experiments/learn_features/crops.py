"""Clips to learn from: the same spot in a few frames, cropped as the tracker would and resized.

A clip is K regions around one target. Each is a search window with a margin, so that a training can
vary the window's place. A benchmark has few targets, which a network would learn by heart;
therefore a share of the clips shows any other spot of a frame, under another rotation, scale and
shape in each region; a photo, which is a video of one frame, has such clips only. A part of the
target may be covered by what is beside it. Clip i is a function of the settings and i alone.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.core import sampling
from hcft_jax.data.frames import ImageFiles, read_ahead
from hcft_jax.data.sequence import Frame
from hcft_jax.data.sequence import Sequence as Video
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util.errors import InputError

MARGIN = 3 / 14  # how far a region reaches beyond the search window, on each side, relative to it
SMALLEST = 16.0  # side in pixels of a spot that is no target
_THREADS = 2  # that decode and crop
_TRIES = 50  # attempts to find frames with valid ground truth


@dataclass(frozen=True)
class ClipSettings:
    """How clips are drawn."""

    seed: int = 0
    frames: int = 2  # K regions per clip, >= 2
    gap: int = 10  # most frames between the first region's and the last one's
    elsewhere: float = 0.3  # share of the clips that show no target
    zoom: float = 0.15  # largest relative change of the window's size, the same in a whole clip
    rotation: float = 3.0  # most degrees in each region but the first; thrice that elsewhere
    scale: float = 0.03  # the same for relative sizes, along each axis
    flip: float = 0.5  # share of the clips that are mirrored
    covered: float = 0.0  # share of the regions but the first whose target is partly covered


class Clip(NamedTuple):
    """K regions of one spot."""

    regions: npt.NDArray[np.uint8]  # [K, S, S, 3] RGB
    video: str  # the name of its video


def region_side(patch: int) -> int:
    """Return the side of a region around a patch, given that of the patch, in pixels."""
    return patch + 2 * round(MARGIN * patch)


def drawn(count: int, seed: int) -> list[Video]:
    """Draw synthetic videos in which targets move, turn, grow, blur and change their light."""
    common = Synthetic(
        frames=60, motion=35.0, scale=0.2, rotation=25.0, illumination=0.3, noise=5.0
    )
    videos = []
    for i in range(count):
        target, blur = (32.0 + 8 * (i % 4), 24.0 + 8 * (i % 3)), 0.8 * (i % 2)
        videos.append(synthetic(replace(common, seed=seed + i, target=target, blur=blur)))
    return videos


def photos(paths: Iterable[Path]) -> list[Video]:
    """Return photos as videos of one frame; what their truth is does not matter.

    Args:
        paths: Image files.
    """
    box = np.array([[0.0, 0.0, SMALLEST, SMALLEST]])
    return [Video(f"{p.parent.name}/{p.name}", ImageFiles((p,)), box) for p in paths]


def cover(region: Frame, rng: np.random.Generator) -> None:
    """Cover a part of the target in the middle of a region, in place, by what is beside it.

    Args:
        region: ``[S, S, 3]``, with ``MARGIN`` around a search window.
        rng: Draws the part, and what covers it.
    """
    side = len(region)
    target = side / (1 + 2 * MARGIN) / sampling.PADDED
    height, width = (max(2, round(n)) for n in target * rng.uniform(0.4, 1.0, 2))
    top, left = (round(side / 2 + n) for n in target * rng.uniform(-0.8, 0.0, 2))
    beside = rng.permutation([(side + target) / 2, (side - target) / 2 - height])[0]
    other = int(np.clip(beside, 0, side - height)), int(rng.integers(side - width))
    piece = region[other[0] : other[0] + height, other[1] : other[1] + width].copy()
    region[top : top + height, left : left + width] = piece


def clips(
    videos: Sequence[Video], settings: ClipSettings, indices: Sequence[int], side: int
) -> Iterator[Clip]:
    """Yield the clips of some numbers, ``side`` pixels wide; all videos are equally likely.

    Raises:
        InputError: a video has too few frames with ground truth, or a frame cannot be read.
    """
    one = functools.partial(clip, videos, settings, side=side)
    return read_ahead(one, indices, _THREADS, 8 * _THREADS)


def clip(videos: Sequence[Video], settings: ClipSettings, index: int, side: int) -> Clip:
    """Return the clip of one number; see ``clips``."""
    rng = np.random.Generator(np.random.Philox(key=[settings.seed, index]))
    video = videos[int(rng.integers(len(videos)))]
    elsewhere = rng.random() < settings.elsewhere or len(video) == 1
    numbers = _frames(video, settings, rng, same=elsewhere)
    frames = {number: video.frames.read(number) for number in set(numbers)}
    boxes = video.boxes[numbers]
    if elsewhere:
        boxes = np.broadcast_to(_spot(frames[numbers[0]], rng), boxes.shape)
    height, width = frames[numbers[0]].shape[:2]
    size = boxes[0, :1:-1]  # (h, w)
    window = size * sampling.padding((size[0], size[1]), (height, width))
    window = window * np.exp(rng.uniform(-1, 1) * np.log1p(settings.zoom)) * (1 + 2 * MARGIN)
    mirrored = -1.0 if rng.random() < settings.flip else 1.0
    most = 3.0 if elsewhere else 1.0
    regions = []
    for k, (number, (x, y, w, h)) in enumerate(zip(numbers, boxes, strict=True)):
        angle, rows, columns = most * rng.uniform(-1, 1, 3) if k else (0.0, 0.0, 0.0)
        size = window * np.exp(np.array([rows, columns]) * np.log1p(settings.scale))
        turn = np.radians(angle * settings.rotation)
        centre = np.array([y + h / 2, x + w / 2])
        region = cut(frames[number], centre, size, side, turn, mirrored)
        if k and settings.covered and rng.random() < settings.covered:
            cover(region, rng)
        regions.append(region)
    return Clip(np.stack(regions), video.name)


def cut(
    image: Frame,
    centre: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    side: int,
    turn: float = 0.0,
    mirrored: float = 1.0,
) -> Frame:
    """Return a region of an image, bilinear; beyond the image its edge is repeated.

    Args:
        image: RGB ``[H, W, 3]``.
        centre: (row, column) in pixels; pixel i covers [i, i + 1).
        size: (height, width) of the region in the image, in pixels.
        side: Side of the result in pixels.
        turn: Angle by which the region is turned, in radians.
        mirrored: -1 to swap left and right, else 1.
    """
    cosine, sine = np.cos(turn), np.sin(turn)
    vertical, horizontal = size / side
    # from an output pixel (u, v) to the input: shape, then rotation, about the centres
    linear = np.array(
        [
            [cosine * horizontal * mirrored, -sine * vertical],
            [sine * horizontal * mirrored, cosine * vertical],
        ]
    )
    middle = (side - 1) / 2
    offset = centre[::-1] - 0.5 - linear @ [middle, middle]
    affine = np.concatenate([linear, offset[:, None]], axis=1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    region = cv2.warpAffine(
        image, affine, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(region, np.uint8)


def _frames(
    video: Video, settings: ClipSettings, rng: np.random.Generator, same: bool
) -> list[int]:
    """Return the numbers of a clip's frames, forwards or backwards in time."""
    for _ in range(_TRIES):
        first = int(rng.integers(len(video)))
        gaps = np.sort(rng.integers(0, settings.gap + 1, settings.frames - 1))
        numbers = first + rng.choice([-1, 1]) * np.concatenate([[0], 0 * gaps if same else gaps])
        if not ((numbers >= 0) & (numbers < len(video))).all():
            continue
        boxes = video.boxes[numbers]
        if np.isfinite(boxes).all() and (boxes[:, 2:] > 4).all():
            return [int(n) for n in numbers]
    raise InputError(f"{video.name}: no {settings.frames} frames with truth to learn from")


def _spot(image: Frame, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a box (x, y, w, h) anywhere in an image."""
    height, width = image.shape[:2]
    most = max(SMALLEST + 1, min(height, width) / 4)
    size = np.exp(rng.uniform(np.log(SMALLEST), np.log(most)))
    w, h = size * np.exp(rng.uniform(-0.4, 0.4, 2))
    x, y = rng.uniform(0, max(1.0, width - w)), rng.uniform(0, max(1.0, height - h))
    return np.array([x, y, w, h])
