r"""Project a network's levels to fewer or whitened channels, as photos teach it.

::

    hcft project_levels --backbone=vgg19 --channels=64,64,32 --layers=conv5_4,conv4_4,conv3_4 \
        --photos=PHOTOS --output=projected.npz
    hcft project_levels --backbone=alexnet --photos=PHOTOS --whiten=0.1 --output=white.npz
    hcft track --config=hcft --weights=projected.npz --data_dir=OTB100

The output is a file of weights like any other: the network's, and a projection of each layer in
--layers, which every way of tracking applies. Without --whiten the channels are those that keep
most of the features' inner products, so that the filters see nearly the same with less to compute
and to keep; with it they are decorrelated (see ``projections``). No sequence is looked at. The same
photos and seed give the same file; how it was made stands beside it (.json).

``--without_network`` leaves the network's own arrays out: the file that goes with a package which
has those (EfficientNet-Lite0's in this one was made so).
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import projected

    return projected.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "Projections")
    group.text("photos")
    group.whole("most", 1500)
    what = "channels of each layer, or one number for all"
    group.many("channels", meaning=what, shown="all")
    what = "share of the mean variance added before whitening; 0: none"
    group.real("whiten", 0.0, meaning=what)
    group.switch("without_network", meaning="write the projections alone")
    group.text("output", "projected.npz")
    group.whole("seed", 0)
    options.define(into, {"backbone", "layers", "weights"})


if __name__ == "__main__":
    entry.run(main, define_flags)
