"""Learn the projections of a network's levels through the filter.

::

    hcft learn_features --photos=PHOTOS --output_dir=learned
    hcft learn_features --data_dir=OTB --output_dir=learned --folds=4
    tensorboard --logdir=learned

The projections of the configuration's layers learn, from those that the weights have; those of
EfficientNet-Lite0 are in this package, ``experiments.project_levels`` makes them for any other
network, which stays as it is. Clips are cropped from photos, from sequences and from drawn ones;
each shows a target, or any other spot, in two or more frames. A filter that is trained on a clip's
first frame should find the target in the next one.

With --folds=N there are N more trainings. Each does without a part of the sequences (those with the
same frames stay together) and then tracks that part: OUTPUT_DIR/folds/ope/ holds the boxes of a
network that has never seen the sequence, for ``experiments.compare``. --trainings=0,2 runs some of
the trainings, for example on several machines; 0 is the one on all data. After an interruption the
same command continues to the same result.

OUTPUT_DIR holds ``all/BACKBONE.npz``, for ``--weights=``, ``all/BACKBONE.json`` (command, seed,
data, date), ``fold-1/`` ..., ``material/`` (clips, which may be deleted afterwards),
and ``checkpoints/`` and ``logs/`` in the folder of each training.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import trainings

    return trainings.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "lite0")
    group = FlagGroup(into, "What is learned from")
    group.text("photos")
    group.whole("most", 1500)
    group.text("data_dir")
    group.many("sequences")
    group.whole("drawn", 6)
    group.whole("clips", 3000, meaning="number of clips")
    group.whole("clip_frames", 2, meaning="frames per clip: a pair, or a short unroll")
    what = "share of the later regions whose target is partly covered"
    group.real("covered", 0.3, meaning=what)
    group = FlagGroup(into, "Learning")
    group.text("output_dir")
    what = "number of further trainings, each without a part of the sequences"
    group.whole("folds", 0, meaning=what)
    group.many("trainings", meaning="only these trainings; 0 is the one on all data", shown="all")
    group.whole("steps", 100)
    group.whole("batch", 16)
    group.whole("checkpoint_every", 25, meaning="steps between checkpoints")
    group.real("learning_rate", 1e-4)
    what = "of the softmax of responses, whose peak is scaled to 1"
    group.real("loss_temperature", 0.1, meaning=what)
    group.whole("seed", 0)
    options.define(into, {"backbone", "weights", "precision"})


if __name__ == "__main__":
    entry.run(main, define_flags)
