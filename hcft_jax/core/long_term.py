"""A second, conservative model of the target, which says when it is lost and where it is again.

The tracker's filters learn whatever is in the box, so they follow what covers the target. The
memory is a second set of filters on the same features that learns only in frames that it is sure
of; after Ma et al., "Robust Visual Tracking via Hierarchical Convolutional Features" (PAMI 2019),
and LCT (Ma et al., CVPR 2015), whose memories have features of their own. Its **confidence** is its
response where the target was found: 1 for what was learned, 0 for what has nothing of it.

* Below ``doubted_below`` nothing is learned in this frame; after ``PATIENCE`` such frames in a row
  the target is *lost*.
* While it is lost nothing is learned, and in each frame ``looks`` more search windows are looked
  at, which go over the whole image. The best one is looked at once more, around the target that it
  may hold. Where the confidence is at least ``found_above`` there, and ``SHARE`` of what was usual
  for this target, and more than here, the track goes there.
* The target is found when its own search window gives that confidence: in a frame after the one in
  which the track went there, so one window alone is never believed. It is also found when its
  search window gives it ``SHARE`` of what was usual in ``PATIENCE`` frames in a row: some targets
  never respond by much.

The finest of several layers has no memory: its response is that of small pieces, which other
objects have too, and it costs more than the others together.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hcft_jax.backbones import registry
from hcft_jax.core import filters, search
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter, Kernel, Parts
from hcft_jax.core.target import Target

THRESHOLDS = {
    "vgg19": (0.05, 0.14),
    "efficientnet_lite0": (0.04, 0.077),
    "hog": (0.3, 0.45),
    "grey": (0.35, 0.5),
}
"""The confidence below which a target is doubted, and from which it is found, by backbone; others
have those of VGG-19.

Those of EfficientNet-Lite0 are for the constants of ``lite0``, as another lambda makes other
responses. On 60 photos (``experiments/lost/photos.py``) the confidence is 0.136 in the median where
the target is present and 0.014 where it is absent. It is doubted below the 95th percentile of the
absent ones, since a target in a video changes more than a drawn one (on Bolt2 it is 0.073), and
found above what 1 % of the best absent places reach.
"""

PATIENCE = 3  # frames without confidence before a target is lost
NEAR = 2  # cells that the memory's maximum may be from where the target was found
SHARE = 0.5  # of the usual confidence, which a target that is found again has at least
SLOW = 0.05  # rate at which the usual confidence follows the present one
MOST = 32  # search windows over the image, per axis
OVERLAP = 2  # how many of them cover a pixel, per axis


class LongTermMemory(NamedTuple):
    """What is remembered of a target, and what it says about the present frame."""

    filters: tuple[Filter, ...]  # of all layers but the finest, deepest first
    confidence: jax.Array  # []: the response where the target was found in this frame
    usual: jax.Array  # []: what it has been; 0: not known yet
    lost: jax.Array  # bool []
    against: jax.Array  # int32 []: frames in a row that speak against ``lost``
    looked: jax.Array  # int32 []: search windows that were looked at since it was lost
    candidate: jax.Array  # [3]: of those in this frame the best one's response, row and column


def remembered(config: TrackerConfig) -> int:
    """Return how many of the filters are remembered, deepest layer first."""
    return max(1, len(config.response_names) - 1)


def start(config: TrackerConfig, learned: tuple[Filter, ...]) -> LongTermMemory:
    """Return the memory of the first frame.

    Args:
        config: the tracker's constants.
        learned: the filters of the first frame.
    """
    like = learned[0].scale
    no = jnp.zeros((), jnp.int32)
    return LongTermMemory(
        filters=learned[: remembered(config)],
        confidence=jnp.ones((), like.dtype),
        usual=jnp.zeros((), like.dtype),
        lost=jnp.zeros((), bool),
        against=no,
        looked=no,
        candidate=jnp.zeros(3, like.dtype),
    )


def respond(
    config: TrackerConfig,
    memory: LongTermMemory,
    target: Target,
    z: tuple[Parts, ...],
    y: jax.Array,
    kernel: Kernel | None,
) -> jax.Array:
    """Return the memory's response to a search window, the weighted mean of its layers'.

    Args:
        config: the tracker's constants.
        memory: what is remembered.
        target: the operators.
        z: spectra of the window, of all layers.
        y: spectrum of the label.
        kernel: of the correlation.

    Returns:
        ``[gh, gw]``, or larger, padded.
    """
    weights = config.response_weights[: len(memory.filters)]
    maps = [
        weight
        * filters.respond(f, parts, y, target.transform, config.lambda_, config.update, kernel)
        for weight, f, parts in zip(weights, memory.filters, z, strict=False)
    ]
    total = sum(weights[1:], start=weights[0])
    return sum(maps[1:], start=maps[0]) / jnp.where(total > 0, total, 1.0)


def at(response: jax.Array, peak: jax.Array, grid: search.Grid) -> jax.Array:
    """Return the most that a response has within ``NEAR`` cells of a peak.

    Args:
        response: ``[gh, gw]``, or larger, padded.
        peak: (row, column) in cells.
        grid: (gh, gw); no cell outside it counts.
    """
    near = search.inside(response.shape, grid)
    near &= search.distance(response.shape, peak, jnp.inf) <= NEAR
    return jnp.max(jnp.where(near, response, -jnp.inf))


def centred(response: jax.Array, grid: search.Grid) -> jax.Array:
    """Return the most that a response has within ``NEAR`` cells of no displacement.

    Args:
        response: ``[gh, gw]``, or larger, padded.
        grid: (gh, gw); no cell outside it counts.
    """
    return at(response, jnp.asarray(grid, jnp.int32) // 2, grid)


def judge(config: TrackerConfig, memory: LongTermMemory, value: jax.Array) -> LongTermMemory:
    """Return the memory after it has judged where the target was found.

    Args:
        config: the tracker's constants.
        memory: after the previous frame.
        value: its response there.
    """
    low, high = thresholds(config)
    again = jnp.maximum(low, SHARE * memory.usual)
    doubted = value < jnp.where(memory.lost, again, low)
    against = jnp.where(doubted ^ memory.lost, memory.against + 1, 0)
    regained = memory.lost & (value >= jnp.maximum(high, again))
    turns = regained | (against >= PATIENCE)
    certain = ~memory.lost & ~doubted
    usual = jnp.where(memory.usual > 0, memory.usual, value)
    return memory._replace(
        usual=jnp.where(certain, usual + SLOW * (value - usual), usual),
        confidence=value,
        lost=memory.lost ^ turns,
        against=jnp.where(turns, 0, against),
        looked=jnp.where(memory.lost & ~turns, memory.looked, 0),
        candidate=jnp.zeros_like(memory.candidate),
    )


def certain(config: TrackerConfig, memory: LongTermMemory) -> jax.Array:
    """Return whether the tracker may learn from this frame."""
    return ~memory.lost & (memory.confidence >= thresholds(config)[0])


def trusted(config: TrackerConfig, memory: LongTermMemory) -> jax.Array:
    """Return whether the memory itself may."""
    return ~memory.lost & (memory.confidence >= thresholds(config)[1])


def thresholds(config: TrackerConfig) -> tuple[jax.Array | float, jax.Array | float]:
    """Return the confidence below which a target is doubted, and from which it is found."""
    low, high = THRESHOLDS.get(config.backbone, THRESHOLDS[registry.DEFAULT])
    return (
        low if config.doubted_below is None else config.doubted_below,
        high if config.found_above is None else config.found_above,
    )


def _enough(config: TrackerConfig, memory: LongTermMemory) -> jax.Array:
    """Return the confidence from which this target is found."""
    return jnp.maximum(thresholds(config)[1], SHARE * memory.usual)


def windows(target: Target, factor: jax.Array | float, first: jax.Array, count: int) -> jax.Array:
    """Return the centres of search windows over the whole image, row by row and again.

    Args:
        target: the operators; each half of a window is a step.
        factor: of the window's size.
        first: int32 [], the number of the first one.
        count: of them.

    Returns:
        (row, column) in pixels, ``[count, 2]``.
    """
    dtype = jnp.asarray(target.cell).dtype
    extent, window = (jnp.asarray(a).astype(dtype) for a in (target.crop.image, target.crop.window))
    step = window * factor / OVERLAP
    each = jnp.clip(jnp.ceil(extent / step), 1, MOST).astype(jnp.int32)
    index = (first + jnp.arange(count, dtype=jnp.int32)) % (each[0] * each[1])
    place = jnp.stack([index // each[1], index % each[1]], axis=1)
    return (place.astype(dtype) + 0.5) * (extent / each.astype(dtype))[None]


def consider(
    memory: LongTermMemory,
    target: Target,
    factor: jax.Array | float,
    response: jax.Array,
    centre: jax.Array,
) -> LongTermMemory:
    """Return the memory after one more search window: its best place is kept.

    Args:
        memory: what is remembered.
        target: the operators.
        factor: of the window's size.
        response: to the window.
        centre: of it, (row, column) in pixels.
    """
    transform = target.transform
    cells = search.inside(response.shape, transform.grid)
    peak = search.locate(jnp.where(cells, response, -jnp.inf))
    still = jnp.asarray(transform.grid, jnp.int32) // 2
    moved = (peak - still).astype(centre.dtype) * jnp.asarray(target.cell) * factor
    seen = jnp.concatenate([response[peak[0], peak[1]][None], centre + moved])
    better = seen[0] > memory.candidate[0]
    return memory._replace(
        looked=memory.looked + 1, candidate=jnp.where(better, seen, memory.candidate)
    )


def accepts(
    config: TrackerConfig, memory: LongTermMemory, target: Target, response: jax.Array
) -> jax.Array:
    """Return whether the target is where the best search window has it.

    Args:
        config: the tracker's constants.
        memory: what is remembered.
        target: the operators.
        response: to a window around that place.
    """
    value = centred(response, target.transform.grid)
    least = jnp.maximum(_enough(config, memory), memory.confidence)
    return (memory.candidate[0] > 0) & (value >= least)
