"""The targets that are followed through a video: one, or several that start in any frames."""

import warnings
from collections.abc import Sequence

import numpy as np

from hcft_jax import answers
from hcft_jax.answers import Result
from hcft_jax.api import Tracker
from hcft_jax.data.sequence import Frame
from hcft_jax.own_video.box_files import Start
from hcft_jax.run.several import Several
from hcft_jax.util.errors import InputError, InputWarning
from hcft_jax.visual.layers_view import LayersView

Found = dict[int, Result]
"""What there is in a frame: by the target's number, from 0."""


class OneTarget:
    """One target from the first frame on, tracked by ``hcft_jax.Tracker``."""

    def __init__(self, tracker: Tracker, start: Start, layers_view: bool):
        """Take what tracks, where from, and whether the layers are drawn."""
        self._tracker, self._start = tracker, start
        self._view = LayersView(tracker.params, tracker.config) if layers_view else None

    def init(self, image: Frame, number: int) -> Found:
        """Start in the first frame, RGB uint8 ``[H, W, 3]``, of a number."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # it has been said
            return {0: self._tracker.init(image, self._start.box)}

    def update(self, image: Frame, number: int) -> Found:
        """Find the target in the next frame, of a number."""
        return {0: self._tracker.update(image)}

    def panel(self, image: Frame) -> Frame | None:
        """Return what to draw beside the frame that is tracked next."""
        return self._view.panel(self._tracker.state, image) if self._view else None


class SeveralTargets:
    """Several targets; those that start in one frame are a batch. The methods are ``OneTarget``'s.

    Each gets the boxes that it would get by itself.
    """

    def __init__(self, tracker: Tracker, starts: Sequence[Start]):
        """Take what tracks, and where from; starts without a frame are in the first one."""
        self._tracker, self._starts = tracker, starts
        self._batches: list[tuple[list[int], Several]] = []
        self._first = 0

    def init(self, image: Frame, number: int) -> Found:
        """Begin with a frame."""
        self._batches, self._first = [], number
        return self._begin(image, number)

    def update(self, image: Frame, number: int) -> Found:
        """Find the targets that have started, and start those of this frame."""
        found: Found = {}
        for indices, batch in self._batches:
            output = batch.update(image)
            rows = zip(indices, batch.grids, output.box, output.psr, output.lost, strict=True)
            found |= {index: answers.result(*row) for index, *row in rows}
        return found | self._begin(image, number)

    def _begin(self, image: Frame, number: int) -> Found:
        indices = [i for i, s in enumerate(self._starts) if (s.frame or self._first) == number]
        if not indices:
            return {}
        starts = [self._starts[i] for i in indices]
        tracker = self._tracker
        try:
            batch = Several(tracker.params, tracker.config, image, [s.box for s in starts])
        except InputError as error:
            if number == self._first:
                raise
            raise InputError(f"frame {number}: {error}") from error
        self._batches.append((indices, batch))
        boxes = zip(indices, batch.boxes, strict=True)
        return {index: Result(box, float("nan"), False) for index, box in boxes}

    def panel(self, image: Frame) -> None:
        """Return None: the layers of several targets are not drawn."""


Targets = OneTarget | SeveralTargets


def row_of(result: Result) -> tuple[float, ...]:
    """Return the numbers of a result: x, y, w, h, score, lost."""
    return *map(float, np.asarray(result.box, np.float64)), float(result.score), float(result.lost)
