"""The straightforward compiled tracker, against which the others are measured.

It takes the paper's steps one after the other: in each frame the network sees the patch at the old
position and the patch at the new one, whether the target moved or not; grid, window and ``jnp.fft``
are separate steps in each target's own sizes, so each target compiles anew; and one sequence is
tracked after the other. It calls the tracker's own functions, so its boxes are ``tracker.step``'s.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import State
from hcft_jax.core.sampling import View
from hcft_jax.data import frames
from hcft_jax.data.sequence import Sequence


def step(
    params: Params, config: TrackerConfig, state: State, image: jax.Array
) -> tuple[State, jax.Array]:
    """Track one frame; return the state after it, and the box ``[4]`` (x, y, w, h) in pixels."""
    target = state.target
    z = tracker.observe(params, config, target, image, View(state.position))
    position, output = detection.detect(config, state, z)
    # the barrier keeps the compiler from seeing that both patches may be the same
    position = jax.lax.optimization_barrier(position)
    x = tracker.observe(params, config, target, image, View(position))
    return State(position, tracker.learn(config, target, state.filters, x), target), output.box


@functools.partial(jax.jit, donate_argnames="state")
def track(
    params: Params,
    config: TrackerConfig,
    state: State,
    images: jax.Array,
    count: jax.Array | int,
) -> tuple[State, jax.Array]:
    """Scan ``step`` over the first ``count`` of the frames ``[T, H, W, 3]``; boxes ``[T, 4]``."""

    def body(state: State, frame: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        image, real = frame
        return jax.lax.cond(
            real,
            lambda: step(params, config, state, image),
            lambda: (state, jnp.zeros(4, jnp.float32)),
        )

    return jax.lax.scan(body, state, (images, jnp.arange(images.shape[0]) < count))


def track_sequence(
    params: Params, config: TrackerConfig, sequence: Sequence, *, chunk: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the boxes ``[n, 4]`` of a sequence: first one frame alone, then chunk by chunk.

    Args:
        params: the network's parameters, not prepared.
        config: the tracker's constants, with ``dft="fft"`` as the module's text says.
        sequence: only the first of its boxes is used.
        chunk: the number of frames that the device receives at once.
    """
    with contextlib.closing(frames.stream(sequence.frames, ahead=2 * chunk)) as stream:
        first = next(stream)
        state = tracker.init(params, config, first, sequence.boxes[0])
        yield np.asarray(detection.box(state))[None]
        pending: tuple[jax.Array, int] | None = None
        while images := list(itertools.islice(stream, chunk)):
            padded = np.zeros((chunk, *first.shape), np.uint8)
            padded[: len(images)] = images
            state, boxes = track(params, config, state, padded, len(images))
            if pending is not None:  # the device has its next chunk already
                yield np.asarray(pending[0])[: pending[1]]
            pending = boxes, len(images)
        if pending is not None:
            yield np.asarray(pending[0])[: pending[1]]
