"""The cost of a frame, next to the network passes that it contains.

A frame on which the target moved runs the network twice, one on which it stayed runs it once. Both
are timed against the bare network, repeat by repeat, compiled and warm; the ratio tells what
everything else (crop, spectra, filters, search, update) adds. That depends on the target's size:
the drawn target is as large as that of MotorRolling.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util.errors import InputError

from . import timing

CHUNK = 4  # frames per call, the same as in the main job on a CPU


def drawn(scale: float = 1.0) -> Synthetic:
    """Return what is drawn: a target of 122 x 125 px on 640 x 360 px, times ``scale``."""
    return Synthetic(
        frames=60,
        height=round(360 * scale),
        width=round(640 * scale),
        target=(125.0 * scale, 122.0 * scale),
        motion=0.3 * 122.0 * scale,  # it must stay in the search window
    )


def measure(
    params: Params, config: TrackerConfig, drawn: Synthetic, repeats: int
) -> dict[str, Any]:
    """Time a moved frame, an unmoved frame and a network pass, ``repeats`` times in turn.

    Returns:
        ``seconds`` of each and ``ratios`` to the passes (spreads), and the ``grid`` in cells.

    Raises:
        InputError: the target does not move in each frame that is meant to move it.
    """
    sequence = synthetic(drawn)
    # two frames far apart, in turn: the target moves in each; one frame again and again: it stays
    here, there = sequence.frames.read(0), sequence.frames.read(drawn.frames // 2)
    first = tracker.init(params, config, here, sequence.boxes[0])
    network = jax.jit(config.network.features, static_argnums=2)
    patch = np.zeros((config.input_side(params),) * 2 + (3,), np.float32)

    def track(images: list[np.ndarray]) -> Callable[[], Any]:
        def call() -> Any:
            return tracker.track(params, config, state, np.stack(images), CHUNK)

        state = jax.tree.map(lambda a: a.copy(), first)
        return call

    moving, still = [there, here] * (CHUNK // 2), [here] * CHUNK
    times: dict[str, list[float]] = {"network": [], "moved": [], "unmoved": []}
    for repeat in range(repeats + 1):
        calls = {
            "network": lambda: [network(params, patch, config.layers) for _ in range(CHUNK)],
            "moved": track(moving),
            "unmoved": track(still),
        }
        for name, call in calls.items():
            spent = timing.seconds(call) / CHUNK
            if repeat:  # the first call compiles
                times[name].append(spent)

    boxes = np.asarray(track(moving)()[1].box)
    if (np.abs(np.diff(boxes[:, :2], axis=0)).max(axis=1) == 0).any():
        raise InputError("frame: the tracker did not move in each frame of the drawn sequence")
    twice = [2 * n for n in times["network"]]
    return {
        "seconds": {name: timing.spread(values) for name, values in times.items()},
        "ratios": {
            "moved / 2 passes": timing.ratios(times["moved"], twice),
            "unmoved / 1 pass": timing.ratios(times["unmoved"], times["network"]),
        },
        "grid": first.target.transform.shape,
    }
