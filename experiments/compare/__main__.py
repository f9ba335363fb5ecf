"""Compare result folders with each other and with published trackers, target by target.

::

    hcft compare --results=results/hcft,results/c5 --data_dir=OTB100
    hcft compare --results=results/hcft --data_dir=OTB100 --published=mat --trackers=CF2,KCF

A result folder holds ``ope/<Sequence>.txt`` with lines ``x,y,w,h``, 1-based; the folder of
published results holds ``<Sequence>_<Tracker>.mat`` of the OTB toolkit. The command prints
Markdown: everyone's measures on the same targets, the frames in which the first two differ most,
and the distance in pixels of the centres of each result from those of each published track.
"""

from absl import flags

from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import published

    return published.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "What is compared")
    group.folders("results")
    group.text("data_dir")
    what = "folder of published results, <Sequence>_<Tracker>.mat"
    group.text("published", meaning=what, shown="none")
    group.many("trackers", ["CF2"])
    group.whole("differences", 5, meaning="how many frames in which the first two differ most")


if __name__ == "__main__":
    entry.run(main, define_flags)
