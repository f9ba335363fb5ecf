"""A filter of one frame, and where it finds the target in another one."""

import dataclasses
from collections.abc import Collection, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket, Target, buckets
from hcft_jax.data.sequence import Frame

from .drawing import Pair

BUCKETS = 2


def errors(params: Params, config: TrackerConfig, pairs: Collection[Pair]) -> Iterator[float]:
    """Yield how far from the target each pair's filter finds it, in sizes of the target.

    A size is the square root of the target's area in the first frame. One window is looked at:
    nothing is tracked, and nothing is learned from the second frame.

    Args:
        params: The network's, as ``placed``.
        config: The tracker.
        pairs: By ``drawing.draw``.

    Raises:
        InputError: A frame cannot be read.
    """
    # few executables, though every pair has sizes of its own
    padded = buckets([pair.geometry for pair in pairs], [1.0] * len(pairs), BUCKETS)
    for pair in pairs:
        geometry = pair.geometry
        bucket = next(bucket for bucket in padded if bucket.holds(geometry))
        target, position = tracker.begin(params, config, pair.box, geometry.image, bucket)
        one, other = (_padded(pair.video.frames.read(i), bucket) for i in pair[1:3])
        found = _found(params, config, target, one, position, other, np.float32(pair.searched))
        apart = np.asarray(found, np.float64) - pair.centre
        yield float(np.linalg.norm(apart)) / pair.size


@jax.jit
def _found(
    params: Params,
    config: TrackerConfig,
    target: Target,
    one: jax.Array,
    position: jax.Array,
    other: jax.Array,
    searched: jax.Array,
) -> jax.Array:
    """Return (row, column) of where the filter of one image finds the target in the other."""
    state = tracker.start(params, config, target, one, position)
    window = detection.view(config, jnp.asarray(searched), state.scale)
    seen = tracker.observe(params, config, target, other, window)
    return detection.detect(config, dataclasses.replace(state, position=searched), seen)[0]


def _padded(frame: Frame, bucket: Bucket) -> npt.NDArray[np.uint8]:
    more = [(0, most - own) for own, most in zip(frame.shape[:2], bucket.image, strict=True)]
    return np.pad(frame, [*more, (0, 0)])
