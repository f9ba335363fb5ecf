"""What the object adds to the compiled step, and what a second target adds to a video.

    python -m hcft_jax.experiments.video_cost --output=video_cost.json
    python -m hcft_jax.experiments.video_cost --video=Jogging/img --boxes=both.txt

Frame by frame and in turn, compiled and warm: ``tracker.step`` with its box on the host,
``Tracker.update`` of the same frame, and all targets as --boxes tracks them; the ratios are taken
within a frame. Without a video one is drawn, and all targets but the first stay where they are.
"""

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import app, flags

from hcft_jax.api import Tracker
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import video
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.several import Several
from hcft_jax.util import boxes
from hcft_jax.util.errors import command

from . import machine

Box = tuple[float, float, float, float]


def drawn(frames: int) -> tuple[Iterator[Any], list[Box]]:
    """A first frame, frames, and four boxes in the first one."""
    options = Synthetic(frames=frames + 1, height=360, width=640, target=(60.0, 60.0), motion=90.0)
    sequence = synthetic(options)
    x, y, w, h = map(float, sequence.boxes[0])
    starts = [(x, y, w, h), (x - 120, y - 40, w, h), (x + 100, y + 50, w, h), (x, y - 60, w, h)]
    return (sequence.frames.read(i) for i in range(frames + 1)), starts


def measure(weights: str | None, images: Iterator[Any], starts: list[Box]) -> dict[str, Any]:
    """Seconds a frame of each way, and their ratios."""
    image = next(images)
    own = [Tracker(TrackerConfig(), weights) for _ in starts]
    for one, start in zip(own, starts, strict=True):
        one.init(image, start)
    params, config = own[0].params, own[0].config
    state = own[0].state
    counts = [n for n in (2, 4, 8) if n <= len(starts)]
    several = {n: Several(params, config, image, starts[:n]) for n in counts}

    def stepped(image: Any) -> Any:
        nonlocal state
        state, output = tracker.step(params, config, state, image)
        return jax.device_get((output.box, output.psr))

    ways: dict[str, Callable[[Any], Any]] = {"step": stepped}
    ways |= {f"target {n + 1} alone": one.update for n, one in enumerate(own)}
    ways |= {f"{n} targets": of.update for n, of in several.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    moved = np.zeros(len(own), int)
    for number, image in enumerate(images):
        before = [np.asarray(one.state.position) for one in own]
        # each way is first as often as last: what runs beside it changes in time
        order = list(ways) if number % 2 else list(reversed(ways))
        for name in order:
            started = time.perf_counter()
            ways[name](image)
            times[name].append(time.perf_counter() - started)
        after = [np.asarray(one.state.position) for one in own]
        moved += [bool((a != b).any()) for a, b in zip(after, before, strict=True)]
    np.testing.assert_array_equal(np.asarray(own[0].state.position), np.asarray(state.position))
    for n in counts:  # one after the other
        alone = (times[f"target {k + 1} alone"] for k in range(n))
        times[f"{n} targets, each alone"] = [sum(of) for of in zip(*alone, strict=True)]
    pairs = [("target 1 alone", "step")]
    pairs += [(f"{n} targets", f"{n} targets, each alone") for n in counts]
    return {
        "frames": len(times["step"]),
        "frames in which a target moved": moved.tolist(),
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


@command()
def main(argv: list[str]) -> int:
    """Measures, prints and writes; the exit status."""
    values = flags.FLAGS
    with contextlib.ExitStack() as stack:
        images, starts = drawn(values.frames)
        if values.video:
            opened = stack.enter_context(video.opened(values.video))
            images = (m.image for m in itertools.islice(opened, values.frames + 1))
            starts = [tuple(map(float, row)) for row in boxes.parse(values.boxes)]  # type: ignore
        result = measure(values.weights, images, starts)
    text = machine.recorded(result, values.output)
    print(text)
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("weights", None, "as for hcft_jax.main")
    flags.DEFINE_string("video", None, "as for hcft_jax.main; without it one is drawn")
    flags.DEFINE_string("boxes", None, "a file with a row x,y,w,h a target, from 0")
    flags.DEFINE_integer("frames", 20, "that are timed, at least 2")
    flags.DEFINE_string("output", None, "also write the numbers to this .json")
    app.run(main)
