"""The projections of a network's levels, computed and written."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm.auto import tqdm

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import PROJECTION
from hcft_jax.data import pictures
from hcft_jax.evaluation.results import write_json
from hcft_jax.util.errors import SettingError, command
from hcft_jax.util.files import replacing
from hcft_jax.util.text import natural_number
from hcft_jax.weights import lookup, native

from . import projections


def run(given: flags.FlagValues) -> dict[str, Any]:
    """Compute the projections, write the file and return what is said about each layer.

    Raises:
        InputError: A flag, the weights, the photos or the output cannot be used.
    """
    network = registry.get(given.backbone or registry.DEFAULT)
    if network.cells:
        raise SettingError("backbone", f"{network.title} has no levels to project; name a network")
    layers = given.layers or list(network.layers)
    if unknown := [name for name in layers if name not in network.layers]:
        raise SettingError(
            "layers", f"{network.title} has no {unknown[0]!r}; it has {', '.join(network.layers)}"
        )
    found = lookup.find(given.weights, network.name)
    widths = network.shapes(found.params.get("architecture", network.architecture))
    channels = _channels(given.channels, {name: widths[name][3] for name in layers})
    if given.whiten < 0:
        raise SettingError("whiten", f"{given.whiten} is negative; give a share, or 0 for none")
    photos = pictures.find(given.photos, given.most)
    side = network.input_size(found.params)
    rng = np.random.default_rng(given.seed)
    images = tqdm(projections.crops(photos, side, rng), total=len(photos), unit="photo")
    of = projections.moments(network, network.placed(found.params), layers, images)
    own = {
        f"{name}{PROJECTION}": projections.projection(of[name], channels[name], given.whiten)
        for name in layers
    }
    how = {
        "photos": len(photos),
        "seed": given.seed,
        "whiten": given.whiten,
        "channels": channels,
    }
    share = {name: projections.kept(of[name], channels[name]) for name in layers}
    about = {
        "backbone": network.name,
        "network": found.digest,
        **how,
        "kept_energy": {name: round(value, 4) for name, value in share.items()},
        "date": datetime.date.today().isoformat(),
    }
    write_json(Path(given.output).with_suffix(".json"), about)
    if given.without_network:
        with replacing(given.output) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {
                f"{name}/{part}": array.astype(np.float16)
                for name, parts in own.items()
                for part, array in parts.items()
            }
            np.savez(file, **arrays)
    else:
        origin = found.metadata["origin"] | {"projections": how}
        order = found.metadata["source_channel_order"]
        native.save(given.output, native.described(found.params | own, network, origin, order))
    return {name: (channels[name], widths[name][3], share[name]) for name in layers}


def _channels(given: list[str], widths: dict[str, int]) -> dict[str, int]:
    """Return each layer's number of channels: its own one, the one for all, or all of its own."""
    if len(given) not in (0, 1, len(widths)):
        raise SettingError("channels", f"{len(given)} numbers for {len(widths)} layers")
    found = {}
    for i, (name, width) in enumerate(widths.items()):
        text = given[i % len(given)] if given else str(width)
        if not 1 <= (natural_number(text) or 0) <= width:
            raise SettingError("channels", f"{text[:60]!r} for {name}, which has {width} channels")
        found[name] = int(text)
    return found


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Write the file and say how much each layer keeps; return the exit status."""
    for name, (channels, width, share) in run(given).items():
        print(f"{name}: {channels} of {width} channels, {100 * share:.1f} % of the energy")
    print(f"written: {given.output}")
    return 0
