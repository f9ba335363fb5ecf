"""The bare network pass against PyTorch's, timed in turn in one run."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

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
    """Return the seconds of a pass in float32 by batch size and program, and their ratios.

    ``placed`` is our network as the tracker uses it, ``direct`` the same with XLA's convolution;
    the others are the competitors'.

    Args:
        network: the backbone's parameters, on the host, not prepared.
        config: names the layers that are computed.
        batches: numbers of patches in a pass.
        repeats: the number of timed passes of each, in turn.
        budget: for each batch size, no new repeat begins after this many seconds.
        competitors: trackers in PyTorch with the same parameters and configuration.
    """
    side = config.input_side(network)
    ours = {"placed": config.network.placed(network), "direct": jax.device_put(network)}
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
