"""The straightforward compiled tracker, which the others are measured against.

The paper's steps one after the other: in each frame the network sees the patch at the old position
and the one at the new position, whether the target moved or not; grid, window and ``jnp.fft`` one
after the other with sizes of each target's own, so that each target compiles anew; and one sequence
after the other. Built of the tracker's own functions: its boxes are those of ``tracker.step``.
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
from hcft_jax.core import sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.tracker import State
from hcft_jax.data import frames
from hcft_jax.data.sequence import Sequence


def step(
    params: Params, config: TrackerConfig, state: State, image: jax.Array
) -> tuple[State, jax.Array]:
    """One frame: the state after it, and the box ``[4]`` (x, y, w, h) in pixels."""
    target = state.target

    def observed(position: jax.Array) -> tuple[jax.Array, ...]:
        patch = sampling.patch(image, position, target.crop)
        return tracker.spectra(config, target, tracker.features(params, config, patch))

    position, output = tracker.detect(config, state, observed(state.position))
    # the barrier keeps the compiler from seeing that both patches may be the same
    position = jax.lax.optimization_barrier(position)
    new = tracker.train(config, target, observed(position))
    return State(position, tracker.average(config, state.filters, new), target), output.box


@functools.partial(jax.jit, donate_argnames="state")
def track(
    params: Params,
    config: TrackerConfig,
    state: State,
    images: jax.Array,
    count: jax.Array | int,
) -> tuple[State, jax.Array]:
    """A scan of ``step`` over ``count`` of the frames ``[T, H, W, 3]``; boxes ``[T, 4]``."""

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
    """Boxes ``[n, 4]`` of a sequence, chunk by chunk, the first frame's alone before them.

    Args:
        params: the network's, as they are, not prepared.
        config: with ``dft="fft"`` for what the module promises.
        sequence: of its boxes only the first is used.
        chunk: frames handed to the device at once.
    """
    with contextlib.closing(frames.stream(sequence.frames, ahead=2 * chunk)) as stream:
        first = next(stream)
        state = tracker.init(params, config, first, sequence.boxes[0])
        yield np.asarray(tracker.box(state))[None]
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
