"""What a frame costs, next to the network passes it contains, on the machine at hand.

    python -m hcft_jax.experiments.frame_cost --output=frame_cost.json

A frame on which the target moved runs the network twice, one on which it stayed once. Both are
timed against the bare network in the same run, repeat by repeat, compiled and warm; the ratio is
what everything else (crop, spectra, filters, search, update) adds. The target's size decides how
much that is: the default is that of MotorRolling.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import app, flags

from hcft_jax.backbones import registry
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.tracker import Params
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

from . import machine, timing

CHUNK = 4  # frames a call, as in the main job on a CPU


def measure(params: Params, config: TrackerConfig, drawn: Synthetic, repeats: int) -> Any:
    """Times a moved frame, an unmoved one and two network passes, ``repeats`` times in turn."""
    sequence = synthetic(drawn)
    # two frames far apart, in turn: the target moves in each; one frame again and again: it stays
    here, there = sequence.frames.read(0), sequence.frames.read(drawn.frames // 2)
    first = tracker.init(params, config, here, sequence.boxes[0])
    network = jax.jit(registry.get(config.backbone).features, static_argnums=2)
    side = config.input_side(params)
    patch = np.zeros((side, side, 3), np.float32)

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
            if repeat:  # the first time compiles
                times[name].append(spent)

    boxes = np.asarray(track(moving)()[1].box)
    if (np.abs(np.diff(boxes[:, :2], axis=0)).max(axis=1) == 0).any():
        raise InputError("the target did not move in each frame: take another --seed")
    twice = [2 * n for n in times["network"]]
    return {
        "seconds": {name: timing.spread(values) for name, values in times.items()},
        "ratios": {
            "moved / 2 passes": timing.ratios(times["moved"], twice),
            "unmoved / 1 pass": timing.ratios(times["unmoved"], times["network"]),
        },
        "grid": first.target.transform.shape,
    }


@command()
def main(argv: list[str]) -> int:
    """Measures, prints and writes; the exit status."""
    values = flags.FLAGS
    params = registry.get(TrackerConfig().backbone).placed(lookup.find(values.weights).params)
    drawn = Synthetic(
        seed=values.seed,
        frames=60,
        height=360,
        width=640,
        target=(float(values.target[0]), float(values.target[1])),
        motion=0.3 * min(map(float, values.target)),  # it must stay in the search window
    )
    result = measure(params, TrackerConfig(), drawn, values.repeats)
    text = machine.recorded(result, values.output)
    print(text)
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("weights", None, "as for hcft_jax.main")
    flags.DEFINE_list("target", ["125", "122"], "height and width of the target in pixels")
    flags.DEFINE_integer("repeats", 9, "measurements of each, after one that warms up")
    flags.DEFINE_integer("seed", 0, "of the drawn sequence")
    flags.DEFINE_string("output", None, "also write the numbers to this .json")
    app.run(main)
