"""Drawn sequences: a textured rectangle over a textured ground, with exact ground truth.

Pixel (row i, column j) covers ``[j, j + 1) x [i, i + 1)``, so that the box (10, y, 20, h) covers
the columns 10 to 29. The target is a rectangle of real-valued pose. Its coverage of each pixel and
its texture, a sum of plane waves, are evaluated where the pixel's centre falls on the target:
nothing is interpolated, and the box is that of the drawn rectangle to a small part of a pixel.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.fields import check

Floats = npt.NDArray[np.float64]
Pose = tuple[Floats, float, float]  # centre (row, column), scale, angle in radians
# rows and columns [...] on the rectangle to colours [..., C]
Paint = Callable[[Floats, Floats], Floats]

WAVES = 48  # plane waves of a texture
SHORTEST = 5.0  # wavelength, pixels
LONGEST_GROUND, LONGEST_OBJECT = 120.0, 30.0
CONTRAST = 35.0  # standard deviation of a texture, grey levels per channel
RIM = 0.15  # share of each side that is the target's plain rim: an edge on any ground
PERIODS = (50.0, 110.0)  # frames; of motion, scale, rotation and illumination


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """The options of a drawn sequence, whose first box is upright and has the nominal size.

    Raises:
        InputError: A value has another type or is out of its range, or the motion would take the
            target out of the image.
    """

    seed: int = 0  # of textures, path and noise; >= 0
    frames: int = 100  # length T; >= 1
    height: int = 240  # of the image, pixels
    width: int = 320
    target: tuple[float, float] = (48.0, 36.0)  # height, width in pixels; each >= 8
    motion: float = 40.0  # largest distance of the centre from the image's, pixels per axis
    scale: float = 0.0  # the size varies between 1 - scale and 1 + scale; 0 to 0.75
    rotation: float = 0.0  # the angle varies between -rotation and rotation, degrees; 0 to 180
    blur: float = 0.0  # standard deviation of a Gaussian, pixels
    illumination: float = (
        0.0  # brightness varies between 1 - illumination and 1 + illumination; 0 to 0.9
    )
    occlusion: float = 0.0  # share of the frames in which an occluder covers the target; 0 to 1
    noise: float = 0.0  # standard deviation, grey levels

    def __post_init__(self) -> None:
        check(self)
        limits = {
            "seed": (0, math.inf),
            "frames": (1, math.inf),
            "height": (16, 8192),
            "width": (16, 8192),
            "motion": (0, math.inf),
            "scale": (0, 0.75),
            "rotation": (0, 180),
            "blur": (0, 100),
            "illumination": (0, 0.9),
            "occlusion": (0, 1),
            "noise": (0, 255),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:  # NaN fails too
                raise InputError(f"{name}: {value} is not in the range {low} to {high}")
        if not all(8 <= side < math.inf for side in self.target):
            raise InputError(f"target: {self.target} must be height and width, at least 8 each")
        angles = np.radians(np.linspace(0, self.rotation, 181))
        reach = _half_extent(self.target, 1 + self.scale, angles).max(axis=0)
        room = np.array([self.height, self.width]) / 2 - reach
        if room.min() < self.motion:
            largest = f"at most {room.min():.1f}" if room.min() >= 0 else "and even 0 is too much"
            raise InputError(
                f"motion: {self.motion} would take the target out of the image ({largest}, with"
                f" target {self.target}, scale {self.scale} and rotation {self.rotation})"
            )


def synthetic(config: Synthetic) -> Sequence:
    """Return the sequence that ``config`` describes; each frame is drawn when it is read.

    A frame depends on ``config`` and its index alone.
    """
    drawing = Drawing(config)
    name = f"synthetic-{config.seed}"
    return Sequence(name, drawing, drawing.boxes)


class Drawing:
    """A FrameSource that draws ``config``.

    Attributes:
        boxes: The target's boxes, 0-based (x, y, w, h) in pixels, float64 ``[T, 4]``.
    """

    def __init__(self, config: Synthetic) -> None:
        self.config = config
        rng = np.random.default_rng([config.seed, 0])
        time = np.arange(config.frames, dtype=np.float64)
        waves = [0.7 * _wave(rng, time) + 0.3 * _wave(rng, 2 * time) for _ in range(2)]
        path = np.stack(waves, axis=1)
        middle = np.array([config.height, config.width]) / 2
        # [T, 2] (row, column), [T] and [T] radians. Scale and angle start at 1 and 0.
        self._centres = middle + config.motion * path
        self._scales = 1 + config.scale * _wave(rng, time, phase=0.0)
        self._angles = np.radians(config.rotation) * _wave(rng, time, phase=0.0)
        self._gains = 1 + config.illumination * _wave(rng, time)
        half = _half_extent(config.target, self._scales, self._angles)  # [T, 2]
        boxes: Boxes = np.concatenate([self._centres - half, 2 * half], axis=1)
        self.boxes = boxes[:, [1, 0, 3, 2]]

        self._target = _Texture(rng, brightness=150.0, longest=LONGEST_OBJECT)
        self._occluder = _Texture(rng, brightness=128.0, longest=LONGEST_OBJECT)
        rows, columns = np.mgrid[: config.height, : config.width] + 0.5
        self._ground = _Texture(rng, brightness=105.0, longest=LONGEST_GROUND)(rows, columns)

    def __len__(self) -> int:
        return self.config.frames

    def label(self, index: int) -> str:
        """Return which frame of which seed it is."""
        return f"synthetic sequence {self.config.seed}, frame {index + 1}"

    def coverage(self, index: int) -> Floats:
        """Return the share ``[H, W]`` of each pixel that the target covers, occluded or not."""
        image = np.zeros((self.config.height, self.config.width, 1))
        pose = self._centres[index], self._scales[index], self._angles[index]
        _paint(image, self.config.target, pose, lambda v, u: np.ones((*v.shape, 1)))
        return image[..., 0]

    def read(self, index: int) -> Frame:
        """Draw frame ``index``: RGB, uint8 ``[H, W, 3]``."""
        config = self.config
        image = self._ground.copy()
        pose = self._centres[index], self._scales[index], self._angles[index]
        height, width = config.target
        _paint(image, (height, width), pose, self._target.rim)
        _paint(image, ((1 - RIM) * height, (1 - RIM) * width), pose, self._target)
        if config.occlusion:
            self._occlude(image, index)
        image *= self._gains[index]
        if config.blur:
            import cv2  # only here, and commands that list their flags have no need of it

            image = np.asarray(cv2.GaussianBlur(image, (0, 0), config.blur), np.float64)
        if config.noise:
            rng = np.random.default_rng([config.seed, 1, index])
            image += config.noise * rng.standard_normal(image.shape)
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _occlude(self, image: Floats, index: int) -> None:
        """Paint an upright rectangle that crosses the target's box from left to right.

        It touches the box in ``round(occlusion * T)`` frames, those in the middle of the sequence,
        and covers it wholly in the middle one.
        """
        total = len(self)
        count = round(self.config.occlusion * total)
        if not count:
            return
        start = (total - count) // 2
        progress = (2 * (index - start) - (count - 1)) / (count + 1)  # within (-1, 1): touching
        _, _, width, height = self.boxes[index]
        centre = self._centres[index] + np.array([0.0, progress * 1.05 * width])
        size = (1.2 * height, 1.1 * width)  # half of it and of the box: 1.05 widths
        _paint(image, size, (centre, 1.0, 0.0), self._occluder)


class _Texture:
    """The colours of a plane: band-limited noise about a random mean colour."""

    def __init__(self, rng: np.random.Generator, brightness: float, longest: float) -> None:
        lengths = np.exp(rng.uniform(math.log(SHORTEST), math.log(longest), WAVES))
        directions = rng.uniform(0, np.pi, WAVES)
        waves = np.stack([np.sin(directions), np.cos(directions)]) / lengths
        self._waves = 2 * np.pi * waves  # [2, WAVES] radians per pixel
        self._phases = rng.uniform(0, 2 * np.pi, WAVES)
        # As in natural images amplitudes grow with the wavelength, and channels vary together.
        hues = rng.standard_normal((WAVES, 1)) + 0.4 * rng.standard_normal((WAVES, 3))
        colours = lengths[:, None] * hues
        self._colours = colours * CONTRAST * np.sqrt(2 / (colours**2).sum(axis=0))  # [WAVES, 3]
        self._mean = brightness + rng.uniform(-40, 40, 3)

    def __call__(self, v: Floats, u: Floats) -> Floats:
        """Return colours ``[..., 3]`` in grey levels at rows v and columns u ``[...]``, pixels."""
        angles = v[..., None] * self._waves[0] + u[..., None] * self._waves[1]
        return self._mean + np.cos(angles + self._phases) @ self._colours

    def rim(self, v: Floats, u: Floats) -> Floats:
        """Return one colour, the opposite of the texture's mean."""
        return np.broadcast_to(255 - self._mean, (*v.shape, 3))


def _wave(rng: np.random.Generator, time: Floats, phase: float | None = None) -> Floats:
    """Return a sine ``[T]`` of random period, and of random phase unless one is given; -1 to 1."""
    period = rng.uniform(*PERIODS)
    drawn = rng.uniform(0, 2 * np.pi)
    return np.sin(2 * np.pi * time / period + (drawn if phase is None else phase))


def _half_extent(size: tuple[float, float], scale: npt.ArrayLike, angle: Floats) -> Floats:
    """Return half the height and width of the box about a rotated rectangle: ``[T, 2]``."""
    (height, width), cosine, sine = size, np.abs(np.cos(angle)), np.abs(np.sin(angle))
    extent = np.stack([height * cosine + width * sine, height * sine + width * cosine], axis=-1)
    return extent / 2 * np.asarray(scale)[..., None]


def _paint(image: Floats, size: tuple[float, float], pose: Pose, paint: Paint) -> None:
    """Blend a rectangle of ``size`` (height, width) into ``image`` ``[H, W, C]``, in place."""
    centre, scale, angle = pose
    half = _half_extent(size, scale, np.asarray(angle))
    low = np.maximum(np.floor(centre - half).astype(int) - 1, 0)
    high = np.maximum(np.ceil(centre + half).astype(int) + 1, 0)
    part = image[low[0] : high[0], low[1] : high[1]]
    y, x = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5 + (low - centre)[:, None, None]
    v = np.cos(angle) * y - np.sin(angle) * x  # into the rectangle's own, still scaled, axes
    u = np.sin(angle) * y + np.cos(angle) * x
    # The share of a pixel within an edge is linear in its distance, exactly so for upright edges.
    covered_v = np.clip(scale * size[0] / 2 - np.abs(v) + 0.5, 0, 1)
    covered_u = np.clip(scale * size[1] / 2 - np.abs(u) + 0.5, 0, 1)
    coverage = (covered_v * covered_u)[..., None]
    part += coverage * (paint(v / scale, u / scale) - part)
