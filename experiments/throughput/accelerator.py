"""Check an accelerator, the most important first, in a few minutes.

::

    hcft accelerator --data_dir=OTB --oracle=ORACLE/iccv
    hcft accelerator --data_dir=OTB100 --checks=lanes,decode

Each number is printed as it is known, with the time since the start, so an interrupted run has told
what it measured. Without --oracle the comparison with the authors' boxes is left out.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup

from . import CHECKS


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import device_checks

    return device_checks.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "cf2")
    group = FlagGroup(into, "The checks")
    group.text("data_dir")
    group.many("sequences")
    group.whole("max_frames", 200)
    group.many("checks", CHECKS, meaning="the checks to make")
    group.text("oracle", meaning="folder of the authors' boxes, <Sequence>.txt")
    options.define(into, {"lanes", "precision", "weights"})


if __name__ == "__main__":
    entry.run(main, define_flags)
