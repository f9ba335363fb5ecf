"""Write the tracker as programs that run without this package: StableHLO, by ``jax.export``.

python -m hcft_jax.export --config=hcft --image=480,640 --target=160,160 --output_dir=exported
"""

import logging
from collections.abc import Sequence

from absl import flags

from hcft_jax.experiment import options, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.export.programs import PLATFORMS, largest, write
from hcft_jax.util import entry
from hcft_jax.util.errors import SettingError, command
from hcft_jax.weights import lookup


def _pair(name: str, values: Sequence[str]) -> tuple[int, int]:
    try:
        height, width = map(int, values)
    except ValueError:
        raise SettingError(name, f"{','.join(values)} is not height,width in pixels") from None
    return height, width


@command()
def main(argv: list[str]) -> int:
    """Write the programs that the flags describe; return the exit status."""
    values = flags.FLAGS
    logging.getLogger("jax").setLevel(logging.WARNING)  # it reports every absent accelerator
    changes = options.changes()
    changes.setdefault("output_dir", "exported")
    experiment: Experiment = settings.override(settings.load(values.config), changes)
    constants = experiment.tracker.validate()
    sizes = _pair("image", values.image), _pair("target", values.target)
    bucket = largest(*sizes, constants.layout)
    weights = lookup.find(experiment.weights, experiment.tracker.backbone)
    folder = experiment.output_dir
    write(folder, constants, weights, bucket, tuple(values.platforms))
    print(f"programs, weights, manifest.json and exported.py: {folder}")
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("config", "hcft", "as for hcft_jax.main")
    flags.DEFINE_list("image", ["480", "640"], "height and width of the largest images, pixels")
    flags.DEFINE_list("target", ["160", "160"], "height and width of the largest targets, pixels")
    flags.DEFINE_multi_enum("platforms", list(PLATFORMS), [*PLATFORMS, "rocm", "tpu"], "for these")
    options.define()
    entry.run(main)
