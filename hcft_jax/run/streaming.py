"""A whole sequence through the tracker: frames decoded ahead, handed to the device in chunks."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Output
from hcft_jax.data import frames
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.util import forked
from hcft_jax.util.errors import InputError

Floats = npt.NDArray[np.float32]


class Tracked(NamedTuple):
    """n frames and their results, on the host."""

    images: npt.NDArray[np.uint8]  # [n, H, W, 3] RGB
    boxes: Floats  # [n, 4] x, y, w, h, 0-based pixels
    peak: Floats  # [n] the combined response at the target; NaN in the first frame
    psr: Floats  # [n] its peak-to-sidelobe ratio; NaN in the first frame
    lost: npt.NDArray[np.bool_]  # [n] whether the target counts as lost
    responses: Floats | None  # [n, L, gh, gw] when asked, not in the first frame


def track_sequence(
    params: Params,
    config: TrackerConfig,
    sequence: Sequence,
    *,
    chunk: int | None = None,
    with_responses: bool = False,
) -> Iterator[Tracked]:
    """Track a sequence from its first box. Memory does not grow with its length.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        sequence: T frames; only the first of the boxes is used.
        chunk: number of frames handed to the device at once. None: 4 on a CPU (where a chunk takes
            seconds), 32 elsewhere.
        with_responses: also return every layer's response maps.

    Yields:
        All frames in order. The first one comes alone, with the given box as the tracker keeps it;
        everything has been compiled by then.

    Raises:
        InputError: a frame cannot be read or the first box cannot be tracked; the results of the
            frames before it have been yielded.
    """
    forked.check()
    chunk = chunk or (4 if jax.default_backend() == "cpu" else 32)
    with contextlib.closing(frames.stream(sequence.frames, ahead=2 * chunk)) as stream:
        first = next(stream)
        state = tracker.init(params, config, first, sequence.boxes[0])
        empty = np.zeros((chunk, *first.shape), np.uint8)  # compiles, and tracks none of them
        state, _ = tracker.track(params, config, state, empty, 0, with_responses=with_responses)
        unknown = np.full(1, np.nan, np.float32)
        yield Tracked(
            first[None],
            np.asarray(detection.box(state))[None],
            unknown,
            unknown,
            np.zeros(1, np.bool_),
            None,
        )

        pending: tuple[npt.NDArray[np.uint8], Output] | None = None
        try:
            for images in _chunks(stream, chunk):
                padded = np.zeros((chunk, *first.shape), np.uint8)
                padded[: len(images)] = images
                state, output = tracker.track(
                    params, config, state, padded, len(images), with_responses=with_responses
                )
                # only now wait for the chunk before: the device has its next one already
                if pending is not None:
                    yield _fetched(*pending)
                pending = padded[: len(images)], output
        except InputError:
            if pending is not None:
                yield _fetched(*pending)
            raise
        if pending is not None:
            yield _fetched(*pending)


def _chunks(stream: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield lists of ``size`` frames, the last one shorter; then raise what a bad frame raises."""
    images: list[Frame] = []
    try:
        for image in stream:
            images.append(image)
            if len(images) == size:
                yield images
                images = []
    except InputError:
        if images:
            yield images
        raise
    if images:
        yield images


def _fetched(images: npt.NDArray[np.uint8], output: Output) -> Tracked:
    """Wait for the device and return the results."""
    box, peak, psr, lost, responses = jax.tree.map(
        lambda a: np.asarray(a)[: len(images)],
        (output.box, output.peak, output.psr, output.lost, output.responses),
    )
    return Tracked(images, box, peak, psr, lost, responses)
