"""The export of the tracker that flags describe."""

from collections.abc import Sequence

from absl import flags

from hcft_jax.experiment import options, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.export.programs import largest, write
from hcft_jax.util.errors import SettingError, command
from hcft_jax.util.names import listed
from hcft_jax.weights import lookup

KNOWN = ("cpu", "cuda", "rocm", "tpu")  # the platforms of jax.export


def _pair(name: str, values: Sequence[str]) -> tuple[int, int]:
    try:
        height, width = map(int, values)
    except ValueError:
        raise SettingError(name, f"{','.join(values)} is not height,width in pixels") from None
    return height, width


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Write the programs that the flags describe; return the exit status."""
    experiment: Experiment = settings.override(settings.load(given.config), options.changes(given))
    constants = experiment.tracker.validate()
    sizes = _pair("image", given.image), _pair("target", given.target)
    if unknown := [name for name in given.platforms if name not in KNOWN]:
        raise SettingError("platforms", f"no {unknown[0][:60]!r}; {listed(KNOWN)}")
    bucket = largest(*sizes, constants.layout)
    weights = lookup.find(experiment.weights, experiment.tracker.backbone)
    folder = experiment.output_dir
    write(folder, constants, weights, bucket, tuple(given.platforms))
    print(f"programs, weights, manifest.json and exported.py: {folder}")
    return 0
