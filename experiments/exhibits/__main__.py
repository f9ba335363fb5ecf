r"""Make the paper's exhibits: Table 1, Figures 2 and 4 to 9, and its remedies for failures.

::

    hcft exhibits --results=results,published/mat --annotations=otb_meta --output_dir=exhibits
    hcft exhibits --results=results --annotations=otb_meta --data_dir=OTB100 --output_dir=exhibits \
        --only=table1,figure8 --trackers=hcft,CF2 --figure8=Deer,Bolt2:10:60:200

========  ==========================================================  =========================
table1    DP, OS, CLE and speed on CVPR 2013 and OTB-100              results
figure2   the layers' response to a step edge                         weights
figure4   the layers' principal components on frames                  data_dir, weights
figure5   success and precision under OPE, TRE and SRE                results
figure6   success and precision by attribute                          results
figure7   features of single layers and of several, for each network  results of the ablations
figure8   frames with everyone's boxes                                results, data_dir
figure9   frames with boxes and ground truth, where the tracker fails results, data_dir
remedies  first-layer features and a slower update, on failures       results of both and of hcft
========  ==========================================================  =========================

Without --only the command makes every exhibit that the flags and results suffice for, and prints a
note why it leaves out another one. If one that --only names cannot be made, that is an error, and
the exit status is 1. ``--figure8=Deer,Bolt2:10:60:200`` chooses frames: a sequence without numbers
is shown in frames evenly spaced over it.
"""

from absl import flags

from hcft_jax.evaluation import bootstrap
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup

from . import EIGHT, FRAMES, REMEDIES


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import catalogue

    return catalogue.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "What they are made of")
    group.folders("results")
    group.text("annotations")
    group.text("data_dir")
    group.text("weights")
    group.switch("sre_unscale")
    group = FlagGroup(into, "What is made")
    group.text("output_dir")
    group.many("only", meaning="exhibits to make", shown="all")
    group.many("trackers", shown="all, in table1, figure5, 6, 8 and 9")
    group.many("attributes", EIGHT, meaning="attributes of figure6")
    for name, default in FRAMES.items():
        what = "frames to show, SEQUENCE[:FRAME...]"
        group.many(name, meaning=what, shown=",".join(default))
    for name, remedy in REMEDIES.items():
        what = "sequences to show this remedy on"
        group.many(name, meaning=what, shown=",".join(remedy.sequences))
    group.whole("resamples", bootstrap.RESAMPLES)
    group.whole("seed", 0)


if __name__ == "__main__":
    entry.run(main, define_flags)
