"""What a patch costs by the rules: FLOPs and bytes of each stage, and what a device could do.

The counts are of the method as it is written down, with the forms of the filters that the tracker
takes. A stage lasts at least as long as its products take at the measured rate of a large matrix
product, and as its bytes take at that of a large copy. A model of a run follows: the device's time
for a frame is that of its passes, and the host must deliver as many frames as that.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Spectra
from hcft_jax.core.filters import Filter
from hcft_jax.core.sampling import Geometry
from hcft_jax.core.target import Bucket, Target, fixed

MOVED = 0.52  # share of the frames that take a second pass, on 17 targets of OTB-100


@dataclass(frozen=True)
class Ceilings:
    """A device's measured limits."""

    name: str
    network: float  # FLOP/s of a large matrix product in the network's precision
    filters: float  # FLOP/s of one in that of the spectral products
    copy: float  # bytes/s, read and written


H200 = {
    "float32": Ceilings("H200, float32", 50e12, 50e12, 3.36e12),
    "tf32": Ceilings("H200, tf32", 352e12, 352e12, 3.36e12),
    "bfloat16": Ceilings("H200, bfloat16", 676e12, 352e12, 3.36e12),
}
"""Measured in November 2026 with jax 0.11.2 (``BENCHMARKS.md``)."""


@dataclass(frozen=True)
class Stage:
    """The cost of a stage for one patch."""

    name: str
    flops: float
    bytes: float

    def least(self, ceilings: Ceilings) -> tuple[float, str]:
        """Return the seconds that it takes at least, and which limit says so."""
        rate = ceilings.network if self.name == "network" else ceilings.filters
        products, moved = self.flops / rate, self.bytes / ceilings.copy
        return max((products, "products"), (moved, "bytes"))


def stages(
    network: Params, config: TrackerConfig, grid: tuple[int, int], window: tuple[int, int]
) -> list[Stage]:
    """Return the cost of each stage for one patch.

    Args:
        network: the backbone's parameters, or their shapes.
        config: the tracker's constants.
        grid: (gh, gw) in cells.
        window: (M, N) of the search window in pixels.
    """
    side = config.input_side(network)
    maps_of = tracker.map_sizes(network, config)
    geometry = Geometry(window, window, grid)
    bucket = Bucket(window, grid, window)
    target = fixed(
        geometry, (50.0, 50.0), (side, side), maps_of, bucket=bucket, precision=config.precision
    )
    patch = jax.ShapeDtypeStruct((side, side, 3), np.float32)
    maps = jax.eval_shape(tracker.features, network, config, patch)
    observe = functools.partial(tracker.spectra, config)
    x = jax.eval_shape(observe, target, maps)
    train = functools.partial(tracker.train, config)
    filters = jax.eval_shape(train, target, x)
    itemsize = 2 if config.precision == "bfloat16" else 4

    def detect(target: Target, filters: tuple[Filter, ...], z: Spectra) -> Any:
        state = detection.State(jnp.zeros(2), filters, target)
        return detection.detect(config, state, z)

    def learn(target: Target, filters: tuple[Filter, ...], x: Spectra) -> Any:
        return tracker.learn(config, target, filters, x)

    # two taps an axis: four products and sums for each value; the window is read once
    crop = 4 * 2.0 * 3 * side * side
    # a batch shares the weights, and what is between layers may stay on the chip: neither counts
    moved = (nbytes(maps) + nbytes(patch)) * itemsize / 4
    return [
        Stage("crop", crop, 3 * window[0] * window[1] + nbytes(patch)),
        Stage("network", flops(tracker.features, network, config, patch), moved),
        Stage("spectrum", flops(observe, target, maps), nbytes((maps, x))),
        Stage("filters", flops(detect, target, filters, x), nbytes((x, filters))),
        Stage("update", flops(learn, target, filters, x), nbytes((x, filters, filters))),
    ]


def frame_seconds(costs: list[Stage], ceilings: Ceilings) -> float:
    """Return the seconds of a frame at least, of which a share takes a second pass."""
    return (1 + MOVED) * sum(stage.least(ceilings)[0] for stage in costs)


def rows(costs: list[Stage], ceilings: Ceilings, measured: Mapping[str, float]) -> list[list[str]]:
    """Return a table's rows: stage, GFLOP, MB, least us, by what, and measured us where known.

    Args:
        costs: by ``stages``.
        ceilings: of the device.
        measured: seconds for one patch, by stage.
    """
    found = []
    for stage in costs:
        seconds, limit = stage.least(ceilings)
        known = measured.get(stage.name)
        found.append(
            [
                stage.name,
                f"{stage.flops / 1e9:.3g}",
                f"{stage.bytes / 1e6:.3g}",
                f"{1e6 * seconds:.3g}",
                limit,
                "-" if known is None else f"{1e6 * known:.3g}",
            ]
        )
    return found


def flops(function: Any, *arguments: Any) -> float:
    """Return the FLOPs of the program as it is written, before the compiler has changed it."""
    with jax.default_device(jax.devices("cpu")[0]):  # XLA counts none of a GPU's library calls
        return float((jax.jit(function).lower(*arguments).cost_analysis() or {}).get("flops", 0.0))


def nbytes(tree: Any) -> int:
    """Return the bytes of the arrays of a pytree, or of their shapes."""
    return sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in jax.tree.leaves(tree))
