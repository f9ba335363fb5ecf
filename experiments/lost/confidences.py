"""The confidence in targets of photos, and the thresholds of a memory that follow from it."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from absl import flags
from tqdm.auto import tqdm

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, long_term, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import State
from hcft_jax.data import pictures
from hcft_jax.data.frames import read_image
from hcft_jax.data.sequence import Frame
from hcft_jax.evaluation.results import write_json
from hcft_jax.experiment import settings
from hcft_jax.run import single
from hcft_jax.util.errors import command
from hcft_jax.weights import lookup

from .calibration import threshold

Floats = npt.NDArray[np.float64]
SIZE = (240, 320)  # of a photo in pixels
SIDES = (32.0, 80.0)  # of a target
DRAWN = 8  # places for a target, of which one is taken
LOOKS = 16  # search windows over a photo, without --looks
BEST = 99.0  # percentile


class Seen(NamedTuple):
    """The confidence in a target of one photo."""

    present: float
    absent: float
    best: float  # of the search windows over the photo in which it is absent


def photo(path: Path) -> Frame:
    """Return a photo, cut and resized to ``SIZE``."""
    image = read_image(path)
    height, width = image.shape[:2]
    zoom = max(SIZE[0] / height, SIZE[1] / width)
    size = max(SIZE[1], round(zoom * width)), max(SIZE[0], round(zoom * height))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized[: SIZE[0], : SIZE[1]])


def changed(image: Frame, box: Floats, rng: np.random.Generator) -> Frame:
    """Return a photo after a change as from one frame to a later one, around a target's box."""
    x, y, w, h = box
    centre = float(x + w / 2), float(y + h / 2)
    matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-10, 10), rng.uniform(0.9, 1.1))
    matrix[:, 2] += rng.uniform(-0.2, 0.2, 2) * [w, h]
    moved = cv2.warpAffine(image, matrix, SIZE[::-1], borderMode=cv2.BORDER_REPLICATE)
    blurred = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.1, 1.5))
    lit = blurred * rng.uniform(0.8, 1.2) + rng.standard_normal(image.shape) * 3
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def see(
    params: Params, config: TrackerConfig, image: Frame, other: Frame, rng: np.random.Generator
) -> Seen:
    """Return the confidence in a random target of ``image``.

    Args:
        params: the network's parameters.
        config: with ``redetect``.
        image: with the target.
        other: without it.
        rng: draws the target, and how it changes.
    """
    box = _target(image, rng)
    state = single.init(params, config, image, box)
    present, _ = single.step(params, config, state, changed(image, box, rng))
    absent, _ = single.step(params, config, state, other)
    assert present.memory is not None
    assert absent.memory is not None
    best = _best(params, config, state, jnp.asarray(other))
    return Seen(float(present.memory.confidence), float(absent.memory.confidence), float(best))


def _target(image: Frame, rng: np.random.Generator) -> Floats:
    """Return a random box (x, y, w, h), the one with the most contrast of a few: no plain sky."""
    found, most = np.zeros(4), -1.0
    for _ in range(DRAWN):
        sides = rng.uniform(*SIDES, 2)
        corner = rng.uniform(0.2 * sides, np.array(SIZE) - 1.2 * sides)
        (top, left), (bottom, right) = corner.astype(int), (corner + sides).astype(int)
        contrast = float(image[top:bottom, left:right].std())
        if contrast > most:
            found, most = np.array([corner[1], corner[0], sides[1], sides[0]]), contrast
    return found


@jax.jit
def _best(params: Params, config: TrackerConfig, state: State, image: jax.Array) -> jax.Array:
    """Return the confidence at the best place of an image, as ``detection.accept`` has it."""
    look = functools.partial(tracker.observe, params, config, state.target, image)
    windows = detection.looks(config, state, config.looks)
    state = tracker.considered(config, state, jax.vmap(look)(windows), windows)
    response = detection.recall(config, state, look(detection.candidate(config, state)))
    return long_term.centred(response, state.target.transform.grid)


def analyse(seen: list[Seen], own: tuple[float, float]) -> dict[str, Any]:
    """Return the thresholds, and how often the confidence is on the wrong side of them.

    Args:
        seen: by ``see``.
        own: the tracker's ``doubted_below`` and ``found_above``.
    """
    present, absent, best = (np.array(values) for values in zip(*seen, strict=True))
    both = np.concatenate([present, absent])
    doubted = threshold(both, np.arange(len(both)) >= len(present))
    found = float(np.percentile(best, BEST))
    quantiles = {
        name: np.percentile(values, [1, 5, 50, 95, 99]).tolist()
        for name, values in (("present", present), ("absent", absent), ("best absent", best))
    }
    return {
        "photos": len(seen),
        "doubted_below": doubted,
        "found_above": found,
        **{
            name: {
                "thresholds": list(values),
                "present, but doubted": float(np.mean(present < values[0])),
                "absent, but not doubted": float(np.mean(absent >= values[0])),
                "present, but not found": float(np.mean(present < values[1])),
                "absent, but found": float(np.mean(best >= values[1])),
            }
            for name, values in (("with these", (doubted, found)), ("with the tracker's", own))
        },
        "percentiles 1, 5, 50, 95, 99": quantiles,
    }


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Look at the photos, print and write the thresholds; return the exit status."""
    config = (
        settings.derive(given.config, redetect=True, looks=given.looks or LOOKS).validate().tracker
    )
    params = config.network.placed(
        lookup.find(given.weights, config.backbone).params, config.precision
    )
    paths = pictures.find(given.photos, given.most, least=2)
    rng = np.random.default_rng(given.seed)
    images = [photo(path) for path in paths]
    pairs = zip(images, [*images[1:], images[0]], strict=True)
    bar = tqdm(pairs, total=len(images), unit="photo")
    low, high = long_term.thresholds(config)
    seen = [see(params, config, *pair, rng) for pair in bar]
    result = analyse(seen, (float(low), float(high)))
    write_json(Path(given.output_dir, f"memory-{config.backbone}.json"), result)
    for name, value in result.items():
        print(f"{name}: {value}")
    return 0
