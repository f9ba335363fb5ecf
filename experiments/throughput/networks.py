"""The bare network pass against PyTorch's, in one run, call by call in turn."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig

from . import torch_hcft
from .timing import in_turn, ratios, spread


def measure(
    network: Params,
    config: TrackerConfig,
    batches: Sequence[int],
    repeats: int,
    budget: float = float("inf"),
    competitors: Sequence[torch_hcft.Plain] = (),
) -> dict[str, Any]:
    """Seconds of a pass by batch size and by who makes it, and their ratios.

    ``placed`` is ours as the tracker has it, ``direct`` by XLA's own convolution, the others those
    of the competitors. In float32.

    Args:
        network: the backbone's parameters, on the host, not prepared.
        config: whose layers are wanted.
        batches: numbers of patches.
        repeats: of each, in turn.
        budget: seconds for a batch size, after which no further repeat begins.
        competitors: with the same parameters and configuration.
    """
    side = config.input_side(network)
    ours = {
        "placed": registry.get(config.backbone).placed(network),
        "direct": jax.device_put(network),
    }
    result: dict[str, Any] = {
        "batches": {},
        "competitors": {other.name: other.description for other in competitors},
    }
    for batch in batches:
        patches = np.random.default_rng(0).uniform(0, 255, (batch, side, side, 3))
        patches = patches.astype(np.float32)
        placed = jax.device_put(patches)
        calls: dict[str, Callable[[], Any]] = {
            name: functools.partial(tracker.features, params, config, placed)
            for name, params in ours.items()
        }
        calls |= {other.name: other.pass_of(patches) for other in competitors}
        times = in_turn(calls, repeats, budget)
        result["batches"][str(batch)] = {
            "seconds": {name: spread(of) for name, of in times.items()},
            "ratios": {
                f"placed / {name}": ratios(times["placed"], of)
                for name, of in times.items()
                if name != "placed"
            },
        }
    return result
