"""Snippets of sequences to unroll the tracker over: a first frame with its truth, and K more."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark.execute import BUCKETS
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import Geometry
from hcft_jax.core.target import Bucket, Target, buckets, place
from hcft_jax.data.sequence import Sequence
from hcft_jax.util.errors import InputError

ALIKE = 8  # cells by which grids in one bucket may differ


class Snippet(NamedTuple):
    """K + 1 frames as arrays, which have one shape for all targets of a bucket."""

    target: Target
    images: npt.NDArray[np.uint8]  # [K + 1, H, W, 3] RGB, padded to the bucket's image
    position: npt.NDArray[np.float32]  # [2] (row, column) of the target in the first one
    centres: npt.NDArray[np.float32]  # [K, 2] (row, column) in the others, pixels


class Snippets:
    """The snippets of some sequences whose ground truth is valid in each of their frames."""

    def __init__(
        self, sequences: Iterable[Sequence], params: Params, config: TrackerConfig, frames: int
    ) -> None:
        """Find the snippets; of each sequence one frame is read, for its size.

        Args:
            sequences: Sequences with ground truth.
            params: The network's parameters.
            config: The tracker's constants, of which the grid and the layers matter.
            frames: K, the number of frames after the first one.

        Raises:
            InputError: there is no snippet, or a frame cannot be read.
        """
        self._params, self._config, self._frames = params, config, frames
        self._from: list[tuple[Sequence, list[tuple[int, Geometry]]]] = []
        for sequence in sequences:
            if len(sequence) > frames and (starts := _starts(sequence, config, frames)):
                self._from.append((sequence, starts))
        if not self._from:
            raise InputError(
                f"--snippet_frames: no training sequence has {frames + 1} frames with valid truth "
                "in a row"
            )
        sizes = [_alike(geometry) for _, starts in self._from for _, geometry in starts]
        # sequences are drawn equally often, however long they are
        weights = [1 / len(starts) for _, starts in self._from for _ in starts]
        self.buckets: list[Bucket] = buckets(sizes, weights, BUCKETS)

    def draw(self, seed: int, step: int, count: int) -> list[Snippet]:
        """Draw the snippets of a step, which depend on nothing but these numbers.

        Each is of a random sequence and begins at a random frame of it.

        Raises:
            InputError: a frame cannot be read, or its size is not that of the first one.
        """
        rng = np.random.Generator(np.random.Philox(key=np.array([seed, step], np.uint64)))
        drawn = []
        for _ in range(count):
            sequence, starts = self._from[rng.integers(len(self._from))]
            drawn.append(self._snippet(sequence, *starts[rng.integers(len(starts))]))
        return drawn

    def _snippet(self, sequence: Sequence, first: int, geometry: Geometry) -> Snippet:
        bucket = next(b for b in self.buckets if b.holds(geometry))
        boxes = sequence.boxes[first : first + self._frames + 1]
        target, position = tracker.begin(
            self._params, self._config, boxes[0], geometry.image, bucket
        )
        images = np.zeros((len(boxes), *bucket.image, 3), np.uint8)
        for index, padded in enumerate(images, first):
            frame = sequence.frames.read(index)
            if frame.shape[:2] != geometry.image:
                raise InputError(
                    f"{sequence.frames.label(index)}: {frame.shape[1]} x {frame.shape[0]} px, but "
                    f"the first frame has {geometry.image[1]} x {geometry.image[0]}"
                )
            padded[: frame.shape[0], : frame.shape[1]] = frame
        centres = boxes[:, 1::-1] + boxes[:, :1:-1] / 2
        # the position is up to half a pixel from the first centre, and stays so
        centres = centres[1:] - centres[0] + position
        return Snippet(target, images, position, centres.astype(np.float32))


def _starts(sequence: Sequence, config: TrackerConfig, frames: int) -> list[tuple[int, Geometry]]:
    """Return the frames that a snippet can begin with, and the sizes their truth leads to."""
    height, width, _ = sequence.frames.read(0).shape
    boxes = sequence.boxes
    valid = np.asarray(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))
    found = []
    for first in range(len(sequence) - frames):
        if valid[first : first + frames + 1].all():
            try:
                geometry, _ = place(boxes[first], (height, width), config.layout)
            except InputError:  # the box is outside the image or too thin to track
                continue
            found.append((first, geometry))
    return found


def _alike(geometry: Geometry) -> Geometry:
    """Round a grid up: boxes change in every frame, and ``buckets`` compares all pairs of grids."""
    rows, columns = (-(-cells // ALIKE) * ALIKE for cells in geometry.grid)
    return dataclasses.replace(geometry, grid=(rows, columns))
