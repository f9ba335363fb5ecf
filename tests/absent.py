"""Drawn sequences whose target goes away and comes back, or is covered for a while."""

import numpy as np
import numpy.typing as npt

from hcft_jax.data import synthetic
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Drawing, Synthetic

Floats = npt.NDArray[np.float64]
FAR = -1000.0  # pixels: outside of every image
BEFORE, GONE, AFTER = 30, 60, 15  # frames


class Leaving:
    """A FrameSource whose target is outside of the image for ``GONE`` frames, and then elsewhere.

    Attributes:
        boxes: ``[T, 4]``, those of the target where it is in the image, else NaN.
    """

    def __init__(self, seed: int, gone: int = GONE) -> None:
        self.back = BEFORE + gone
        drawn = Synthetic(
            seed=seed,
            frames=self.back + AFTER,
            motion=15.0,
            rotation=8.0,
            illumination=0.1,
            noise=4.0,
        )
        self._drawing = Drawing(drawn)
        rng = np.random.default_rng([seed, 1])
        half = np.array([drawn.height, drawn.width]) / 2
        place = half + rng.choice([-1, 1], 2) * rng.uniform([45.0, 70.0], [70.0, 110.0])
        centres = self._drawing._centres
        back = place + 0.5 * (centres[self.back :] - centres[self.back])
        shifts = np.zeros_like(centres)
        shifts[BEFORE : self.back] = FAR
        shifts[self.back :] = back - centres[self.back :]
        self._drawing._centres = centres + shifts
        self.boxes: Floats = self._drawing.boxes + np.pad(shifts[:, ::-1], ((0, 0), (0, 2)))
        self.boxes[BEFORE : self.back] = np.nan

    def __len__(self) -> int:
        return len(self._drawing)

    def read(self, index: int) -> Frame:
        return self._drawing.read(index)

    def label(self, index: int) -> str:
        return f"frame {index}"


class Covered:
    """A FrameSource whose target is covered wholly for 40 frames, by what then goes on.

    Attributes:
        boxes: ``[T, 4]``, the target's, also while it is covered.
    """

    first, last = 20, 60  # frames

    def __init__(self, seed: int) -> None:
        drawn = Synthetic(seed=seed, frames=self.last + 30, motion=30.0, rotation=5.0, noise=4.0)
        self._drawing = Drawing(drawn)
        self.boxes: Floats = self._drawing.boxes
        self._paint = synthetic._Texture(np.random.default_rng([seed, 2]), 128.0, 30.0)

    def __len__(self) -> int:
        return len(self._drawing)

    def read(self, index: int) -> Frame:
        image = self._drawing.read(index)
        before, after = index - self.first, index - self.last + 1
        if before < -10:
            return image
        centre = self._centre(min(index, self.last - 1))
        if before < 0:  # it comes from the left
            centre = centre + np.array([0.0, 6.0 * before])
        if after > 0:  # it goes on, up and to the left
            centre = centre - np.array([5.0, 6.0]) * after
        painted = image.astype(np.float64)
        synthetic._paint(painted, (60.0, 46.0), (centre, 1.0, 0.0), self._paint)
        return np.clip(np.rint(painted), 0, 255).astype(np.uint8)

    def _centre(self, index: int) -> Floats:
        x, y, w, h = self.boxes[index]
        return np.array([y + h / 2, x + w / 2])

    def label(self, index: int) -> str:
        return f"frame {index}"


def sequence(source: Leaving | Covered) -> Sequence:
    """Return the frames with their boxes."""
    return Sequence("absent", source, source.boxes)


def errors(boxes: npt.ArrayLike, truth: Floats) -> Floats:
    """Return how far the boxes' centres are from the true ones in each frame, pixels."""
    found = np.asarray(boxes)
    return np.abs(found[:, :2] + found[:, 2:] / 2 - truth[:, :2] - truth[:, 2:] / 2).max(axis=1)
