"""Calibrate the peak-to-sidelobe ratio (PSR) below which a target counts as lost.

::

    hcft lost --data_dir=OTB100 --output_dir=lost
    hcft lost --data_dir=OTB100 --config=lite0 --strides=1,5,10 --max_frames=200

Every sequence is tracked as it is and with frames left out (``--strides``), so that the tracker
loses targets which it would keep otherwise. A frame is *lost* where the centre of the tracked box
is outside the true box. (The overlap would be misleading: the tracker keeps its first size, so the
overlap also falls where it follows a target that grows.) The chosen threshold has the least
balanced error, the mean of two shares: lost frames that are missed, and kept frames that are called
lost. Each sequence is also judged by the threshold of all the others. Runs are kept in OUTPUT_DIR;
the same command continues with those that are missing.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import calibration

    return calibration.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    group = FlagGroup(into, "What is tracked")
    group.text("data_dir")
    group.many("sequences")
    what = "numbers n: every n-th frame is tracked, in one run per n"
    group.many("strides", ["1", "5"], meaning=what)
    group.whole("max_frames", 80)
    group.text("weights")
    group.text("output_dir", "lost")


if __name__ == "__main__":
    entry.run(main, define_flags)
