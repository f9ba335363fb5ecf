"""The time that ``Tracker`` adds to the compiled step, and that a second target adds to a video.

Three ways take each frame in turn, compiled and warm: ``tracker.step`` with its box on the host,
``Tracker.update``, and all targets as one batch, as ``hcft_jax.main --boxes`` tracks them. Ratios
are taken within a frame.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence as Many
from typing import Any

import jax
import numpy as np

from hcft_jax.api import Tracker
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.several import Several
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.weights.native import Weights

from .timing import quartiles


def drawn(frames: int, scale: float = 1.0) -> tuple[Sequence, Boxes]:
    """Draw a sequence of 640 x 360 px times ``scale``, with four boxes, of which one moves."""
    whole = synthetic(
        Synthetic(
            frames=frames,
            height=round(360 * scale),
            width=round(640 * scale),
            target=(60.0 * scale, 60.0 * scale),
            motion=90.0 * scale,
        )
    )
    offsets = scale * np.array([(0, 0), (-120, -40), (100, 50), (0, -60)])
    return whole, whole.boxes[0] + np.pad(offsets, ((0, 0), (0, 2)))


def targets(sequences: Many[Sequence]) -> tuple[Sequence, Boxes]:
    """Return the first sequence, and the first boxes ``[N, 4]`` of all that show its images."""
    first = sequences[0]
    same = [s for s in sequences if s.frames.label(0) == first.frames.label(0)]
    return first, np.stack([s.boxes[0] for s in same])


def measure(
    config: TrackerConfig, weights: Weights, sequence: Sequence, starts: Boxes
) -> dict[str, Any]:
    """Time each way frame by frame.

    Args:
        config: the tracker's constants.
        weights: the network's.
        sequence: at least three frames, of which all but the first are timed.
        starts: boxes (x, y, w, h) of the targets in the first frame, ``[N, 4]``.

    Returns:
        ``seconds`` per frame and ``ratios`` (median and quartiles), ``ratios of totals``, the
        number of ``frames`` and of those in which each target moved.

    Raises:
        InputError: there are fewer frames.
    """
    if len(sequence) < 3:
        raise InputError(f"{sequence.name}: {len(sequence)} frames, but the video needs 3")
    frames = map(sequence.frames.read, range(len(sequence)))
    image = next(frames)
    own = [Tracker(config, weights) for _ in starts]
    for one, start in zip(own, starts, strict=True):
        one.init(image, start)
    params, state = own[0].params, own[0].state
    counts = [n for n in (2, 4, 8) if n <= len(starts)]

    def stepped(image: Any) -> Any:
        nonlocal state
        state, output = tracker.step(params, config, state, image)
        return jax.device_get((output.box, output.psr))

    ways: dict[str, Callable[[Any], Any]] = {"step": stepped}
    ways |= {f"target {n + 1} alone": one.update for n, one in enumerate(own)}
    ways |= {
        f"{n} targets": Several(params, config, image, list(starts[:n])).update for n in counts
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    positions = [[np.asarray(one.state.position) for one in own]]  # [T, N, 2]
    for number, image in enumerate(frames):
        # each way is first as often as last: other load changes in time
        for name in list(ways) if number % 2 else reversed(ways):
            started = time.perf_counter()
            ways[name](image)
            times[name].append(time.perf_counter() - started)
        positions.append([np.asarray(one.state.position) for one in own])
    np.testing.assert_array_equal(positions[-1][0], np.asarray(state.position))
    moved = np.diff(positions, axis=0).any(axis=-1).sum(axis=0)
    for n in counts:  # one after the other
        alone = (times[f"target {k + 1} alone"] for k in range(n))
        times[f"{n} targets, each alone"] = [sum(of) for of in zip(*alone, strict=True)]
    pairs = [("target 1 alone", "step")]
    pairs += [(f"{n} targets", f"{n} targets, each alone") for n in counts]
    return {
        "frames": len(times["step"]),
        "frames in which a target moved": moved.tolist(),
        "seconds": {name: quartiles(values) for name, values in times.items()},
        "ratios": {
            f"{a} / {b}": quartiles([i / j for i, j in zip(times[a], times[b], strict=True)])
            for a, b in pairs
        },
        "ratios of totals": {f"{a} / {b}": sum(times[a]) / sum(times[b]) for a, b in pairs},
    }
