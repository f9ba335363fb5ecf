"""Write the tracker as programs that run without this package: StableHLO, by ``jax.export``.

::

    hcft export --config=hcft --output_dir=exported
    hcft export --config=lite0 --image=480,640 --target=160,160 --platforms=cpu
"""

from absl import flags

from hcft_jax.core.choices import TrackerConfig
from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from hcft_jax.export import exporting

    return exporting.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    group = FlagGroup(into, "The programs")
    what = "height and width of the largest images in pixels"
    group.many("image", ["480", "640"], meaning=what)
    what = "height and width of the largest targets in pixels"
    group.many("target", ["160", "160"], meaning=what)
    group.many("platforms", ["cpu", "cuda"], meaning="for these: cpu, cuda, rocm, tpu")
    group.text("output_dir", "exported")
    options.define(into, {*options.names(TrackerConfig), "weights"})


if __name__ == "__main__":
    entry.run(main, define_flags)
