"""What the object adds to the compiled step, and what a second target adds to a video.

    python -m hcft_jax.experiments.video_cost --output=video_cost.json

Repeat by repeat and in turn, compiled and warm: ``tracker.step`` with its box on the host,
``Tracker.update`` of the same frame, the same frame for one target as --box tracks it and for two
and four as --boxes does. The ratios are taken within a repeat. The targets move in some frames and
stay in others, as the drawn sequence has it.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import app, flags

from hcft_jax import tracker
from hcft_jax.api import Tracker
from hcft_jax.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.errors import InputError
from hcft_jax.evaluation.results import write_json
from hcft_jax.several import Several


def measure(weights: str | None, frames: int) -> dict[str, Any]:
    """Seconds a frame of each way, and their ratios."""
    drawn = Synthetic(frames=frames + 1, height=360, width=640, target=(60.0, 60.0), motion=90.0)
    sequence = synthetic(drawn)
    x, y, w, h = sequence.boxes[0]
    starts = [(x, y, w, h), (x - 120, y - 40, w, h), (x + 100, y + 50, w, h), (x, y - 60, w, h)]
    image = sequence.frames.read(0)
    own = Tracker(TrackerConfig(), weights)
    own.init(image, starts[0])
    alone = Tracker(own.config, weights)
    alone.init(image, starts[0])
    state = own.state
    several = {n: Several(own.params, own.config, image, starts[:n]) for n in (2, 4)}

    def stepped(image: Any) -> Any:
        nonlocal state
        state, output = tracker.step(own.params, own.config, state, image)
        return jax.device_get((output.box, output.psr))

    ways: dict[str, Callable[[Any], Any]] = {
        "step": stepped,
        "update": own.update,
        "one target": alone.update,
        "two targets": several[2].update,
        "four targets": several[4].update,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1, frames + 1):
        image = sequence.frames.read(number)
        # each way is first as often as last: what runs beside it changes in time
        order = list(ways) if number % 2 else list(reversed(ways))
        for name in order:
            started = time.perf_counter()
            ways[name](image)
            times[name].append(time.perf_counter() - started)
    np.testing.assert_array_equal(np.asarray(own.state.position), np.asarray(state.position))
    pairs = [("update", "step"), ("two targets", "one target"), ("four targets", "one target")]
    return {
        "frames": frames,
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": {
            f"{a} / {b}": spread([i / j for i, j in zip(times[a], times[b], strict=True)])
            for a, b in pairs
        },
        "ratios of totals": {f"{a} / {b}": sum(times[a]) / sum(times[b]) for a, b in pairs},
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "lower quartile": low, "upper quartile": high}


def main(argv: list[str]) -> int:
    """Measures, prints and writes; the exit status."""
    values = flags.FLAGS
    try:
        if argv[1:]:
            raise InputError(f"{argv[1]!r}: only flags (--name=value) are understood")
        result = measure(values.weights, values.frames)
        device = jax.devices()[0]
        result["device"] = f"{device.platform} ({device.device_kind}), {os.cpu_count()} host cores"
        result["versions"] = {"jax": jax.__version__}
        if values.output:
            write_json(values.output, result)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("weights", None, "as for hcft_jax.main")
    flags.DEFINE_integer("frames", 20, "that are timed, at least 2")
    flags.DEFINE_string("output", None, "also write the numbers to this .json")
    app.run(main)
