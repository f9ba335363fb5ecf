"""Measure how often a filter of one frame finds the target in another one, without tracking.

::

    hcft pairs --config=lite0 --data_dir=OTB100 --output_dir=pairs
    hcft pairs --config=lite0 --layers=block8,block2 --gamma=1,0.5 --data_dir=OTB100

A filter is trained on a target in one frame, and asked for it in a frame ``--gaps`` later, from a
search window whose centre is a random place near the target. *Found* means that the answer is
within a quarter of the target's size (``--within``). Tracks depend on single frames: one that a
tracker loses counts for the whole sequence. Pairs do not, so that a few hundred of them tell
settings apart that are equal by the scores of as many targets, and choosing a network's levels by
them is not choosing by the scores.

Any flag of the tracker works as with ``hcft_jax.main``. OUTPUT_DIR gets a file per setting; the
command prints all of them, and each one's difference to the first that was measured, with 95 %
bootstrap intervals over sequences. The same seed draws the same pairs for every setting.
"""

from absl import flags

from hcft_jax.core.choices import TrackerConfig
from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import measured

    return measured.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    group = FlagGroup(into, "Pairs")
    group.text("data_dir")
    group.many("sequences")
    gaps = ["2", "8", "25", "60"]
    group.many("gaps", gaps, meaning="numbers of frames between the two of a pair")
    group.whole("count", 6, meaning="pairs of each sequence and gap")
    group.whole("seed", 0)
    group.real("within", 0.25, meaning="distance that counts as found, in sizes of the target")
    group.text("output_dir", "pairs")
    options.define(into, {*options.names(TrackerConfig), "weights"})


if __name__ == "__main__":
    entry.run(main, define_flags)
