"""Pairs of frames of a sequence, and a place in the second one to look for the target from."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import Geometry
from hcft_jax.core.target import place
from hcft_jax.data.sequence import Sequence as Video
from hcft_jax.util.errors import InputError

Floats = npt.NDArray[np.float64]
TRIES = 100  # frames that are tried for a pair
ASIDE = 0.25  # of the search window: how far its centre is from the target, at most


class Pair(NamedTuple):
    """Two frames of a sequence, the target in both, and where the search window lies."""

    video: Video
    first: int
    second: int
    geometry: Geometry  # of the target in the first frame
    searched: Floats  # (row, column) of the search window's centre in the second frame, pixels
    centre: Floats  # (row, column) of the target there, pixels

    @property
    def box(self) -> Floats:
        """The target in the first frame: x, y, w, h, 0-based."""
        return self.video.boxes[self.first]

    @property
    def size(self) -> float:
        """The square root of the target's area in the first frame, pixels."""
        return float(np.sqrt(np.prod(self.box[2:])))


def draw(
    videos: Iterable[Video], config: TrackerConfig, gaps: Sequence[int], count: int, seed: int
) -> list[Pair]:
    """Draw pairs of frames; the same ones for every tracker whose search windows are the same.

    Args:
        videos: Sequences with ground truth.
        config: The tracker, whose layout says how large a search window is.
        gaps: The numbers of frames between the two of a pair.
        count: Pairs of each sequence and gap.
        seed: Of frames and places. A sequence's pairs do not depend on the others.

    Raises:
        InputError: A sequence has no such pair, or its first frame cannot be read.
    """
    found = []
    for video in videos:
        height, width, _ = video.frames.read(0).shape
        name = np.frombuffer(video.name.encode(), np.uint8)
        for gap in gaps:
            rng = np.random.default_rng([seed, gap, *map(int, name)])
            found += [_pair(video, (height, width), config, gap, rng) for _ in range(count)]
    return found


def _pair(
    video: Video,
    size: tuple[int, int],
    config: TrackerConfig,
    gap: int,
    rng: np.random.Generator,
) -> Pair:
    for _ in range(TRIES if len(video) > gap else 0):
        first = int(rng.integers(len(video) - gap))
        aside = rng.uniform(-ASIDE, ASIDE, 2)
        boxes = np.asarray(video.boxes[[first, first + gap]], np.float64)
        if not (np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()):
            continue
        try:
            geometry, _ = place(boxes[0], size, config.layout)
        except InputError:  # outside the image, or too thin to track
            continue
        centre = boxes[1, 1::-1] + boxes[1, :1:-1] / 2
        searched = centre + aside * np.array(geometry.window)
        return Pair(video, first, first + gap, geometry, searched, centre)
    raise InputError(f"{video.name}: no two frames with valid truth are {gap} apart; see --gaps")
