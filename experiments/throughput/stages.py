"""The stages of a frame, each timed by itself over several lanes: a batch, or in turn on a CPU.

The host does decode and transfer. Crop, network, spectrum, filters (respond and search) and update
(train and average) are the tracker's own functions, compiled separately. In the tracker they are
one executable, in which some of them overlap, so their sum is more than the time of a frame.

FLOPs are those of the method as it is written down (the direct convolution, from the program before
any optimisation), not those of the algorithm that computes it. Bytes are those of a stage's
arguments and results, the least amount that must move.
"""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Spectra, State
from hcft_jax.core.sampling import View
from hcft_jax.core.target import Bucket, Target
from hcft_jax.data.sequence import Sequence
from hcft_jax.run.feed import cores
from hcft_jax.run.lanes import over

from . import timing
from .cost_model import flops, nbytes

DEVICE = ("crop", "network", "spectrum", "filters", "update")


def measure(
    network: Params,
    config: TrackerConfig,
    sequence: Sequence,
    bucket: Bucket,
    lanes: int,
    repeats: int,
) -> dict[str, Any]:
    """Measure the seconds of each stage for a batch, and the rates that it achieves.

    Args:
        network: the backbone's parameters, on the host, not prepared.
        config: the tracker's constants.
        sequence: every lane has its first frame and box.
        bucket: one that holds the sequence.
        lanes: the size of the batch.
        repeats: the number of timed calls of each stage, in turn.

    Returns:
        by stage: ``seconds`` for the batch (spread) and ``per_patch`` (median); for the stages of
        the device also ``flops``, ``bytes``, ``flops_per_second`` and ``bytes_per_second`` (by the
        median).
    """
    image = sequence.frames.read(0)
    target, position = tracker.begin(
        network, config, sequence.boxes[0], (image.shape[0], image.shape[1]), bucket
    )
    padded = np.zeros((*bucket.image, 3), np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    images = np.broadcast_to(padded, (lanes, *padded.shape)).copy()
    target, positions = jax.device_put(
        jax.tree.map(lambda a: np.broadcast_to(a, (lanes, *np.shape(a))), (target, position))
    )
    params = config.network.placed(network, config.precision)
    direct = jax.device_put(network)

    def crop(image: jax.Array, position: jax.Array, target: Target) -> jax.Array:
        return sampling.patch(image, View(position), target.crop)

    def respond(state: State, z: Spectra) -> Any:
        position, output = detection.detect(config, state, z)
        return position, output.box, output.peak, output.psr

    learn = functools.partial(tracker.learn, config)
    spectra = functools.partial(tracker.spectra, config)
    maps_of = jax.jit(lambda w, patches: tracker.features(w, config, patches))
    crop_all, spectra_all, respond_all = (jax.jit(over(f)) for f in (crop, spectra, respond))
    learn_all = jax.jit(over(learn), donate_argnums=1)

    frames = jax.device_put(images)
    patches = crop_all(frames, positions, target)
    maps = maps_of(params, patches)
    x = spectra_all(target, maps)
    train = jax.jit(over(functools.partial(tracker.train, config)))
    state = State(positions, train(target, x), target)
    own = jax.tree.map(jnp.copy, state.filters)  # each call is given these and returns new ones

    def learned() -> Any:
        nonlocal own
        own = learn_all(target, own, x)
        return own

    calls: dict[str, Callable[[], Any]] = {
        "transfer": lambda: jax.device_put(images),
        "crop": lambda: crop_all(frames, positions, target),
        "network": lambda: maps_of(params, patches),
        "spectrum": lambda: spectra_all(target, maps),
        "filters": lambda: respond_all(state, x),
        "update": learned,
    }
    costs: dict[
        str, tuple[Any, ...]
    ] = {  # always as a batch, because only one turn of a loop would be counted
        "crop": (jax.vmap(crop), frames, positions, target),
        "network": (maps_of, direct, patches),
        "spectrum": (jax.vmap(spectra), target, maps),
        "filters": (jax.vmap(respond), state, x),
        "update": (jax.vmap(learn), target, own, x),
    }
    amounts = {
        name: (flops(*cost), nbytes((cost[1:], jax.eval_shape(*cost))))
        for name, cost in costs.items()
    }
    times = timing.in_turn(calls, repeats)
    result: dict[str, Any] = {}
    for name, seconds in times.items():
        spread = timing.spread(seconds)
        result[name] = {"seconds": spread, "per_patch": spread["median"] / lanes}
        if name in amounts:
            products, moved = amounts[name]
            result[name] |= {
                "flops": products,
                "bytes": moved,
                "flops_per_second": products / spread["median"],
                "bytes_per_second": moved / spread["median"],
            }
    result["transfer"]["bytes"] = images.nbytes
    result["transfer"]["bytes_per_second"] = images.nbytes / result["transfer"]["seconds"]["median"]
    return result


def decode(sequence: Sequence, repeats: int) -> dict[str, Any]:
    """Measure the frames per second that one thread decodes, and those that all cores decode."""
    count = min(len(sequence), 8)
    threads_at_once = cores()

    def one() -> None:
        for index in range(count):
            sequence.frames.read(index)

    def all_cores() -> None:
        list(threads.map(sequence.frames.read, [i % count for i in range(4 * threads_at_once)]))

    with ThreadPoolExecutor(threads_at_once) as threads:
        times = timing.in_turn({"one": one, "all": all_cores}, repeats)
    started = time.process_time()
    one()
    busy = time.process_time() - started
    return {
        "frames_per_second": timing.spread([count / s for s in times["one"]]),
        "frames_per_second_all_cores": timing.spread(
            [4 * threads_at_once / s for s in times["all"]]
        ),
        "cpu_seconds": busy / count,
        "seconds": (alone := timing.spread([s / count for s in times["one"]])),
        "per_patch": alone["median"],
        "cores": threads_at_once,
        "image": sequence.frames.read(0).shape[1::-1],
    }
