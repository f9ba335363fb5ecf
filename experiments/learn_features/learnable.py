"""What of a trained network is learned: the projections of some of its levels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from hcft_jax.backbones.backbone import PROJECTION, Backbone, Params
from hcft_jax.util.errors import SettingError
from hcft_jax.weights import lookup


class Learnable(NamedTuple):
    """A network's parameters, in two parts."""

    first: Params  # what is learned, as it is before the first step
    rest: Params  # what stays, placed on the device
    saved: Params  # what stays, as a file has it
    digest: str  # of the weights that it begins with


def projections(network: Backbone, layers: Sequence[str], weights: str | None) -> Learnable:
    """Return a trained network of which the projections of some layers are learned.

    Args:
        network: The backbone.
        layers: Names of layers.
        weights: The file that has it, and the projections to begin with; None: as for a tracker.

    Raises:
        InputError: There is no such file, or it has no projection of a layer.
    """
    found = lookup.find(weights, network.name)
    own = [f"{name}{PROJECTION}" for name in layers]
    if missing := [name for name in own if name not in found.params]:
        layer = missing[0].removesuffix(PROJECTION)
        raise SettingError(
            "weights",
            f"{network.title}'s have no projection of {layer} to begin with; make one with "
            "python -m hcft_jax.experiments.project_levels",
        )
    saved: dict[str, Any] = {n: of for n, of in found.params.items() if n not in own}
    first = {name: found.params[name] for name in own}
    return Learnable(jax.device_put(first), network.placed(saved), saved, found.digest)
