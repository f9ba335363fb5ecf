"""Learn gamma, eta, lambda and sigma from sequences with truth, and measure whether that helps.

::

    hcft learn_hyper --data_dir=OTB100 --output_dir=learned
    hcft learn_hyper --data_dir=OTB100 --held_out=Deer,Girl --steps=300
    hcft learn_hyper --output_dir=drawn    # on drawn sequences

Each step unrolls the tracker over --batch snippets of --snippet_frames frames, which begin at
random frames of the training sequences. The gradient of the responses' loss with respect to the
constants, with one eta per layer, goes through all of these frames, to Adam. Then the given
constants (the paper's, unless flags say otherwise) and the learned ones track the held-out
sequences.

OUTPUT_DIR holds ``learned.json`` (values and loss by step, and the command that uses the values),
``loss.png``, ``values.png``, ``held_out.md`` and ``.json`` (means, differences with paired 95 %
bootstrap intervals over targets, one row per target), and the boxes in ``held_out/``. The state is
saved after each step: after an interruption the same command continues to the same values, and
with more --steps it continues from the earlier ones.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry, startup
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import learned

    return learned.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    group = FlagGroup(into, "What is learned from")
    group.text("data_dir", shown="drawn ones")
    group.many("sequences")
    what = "sequences to compare on, not to learn from"
    group.many("held_out", meaning=what, shown="every 3rd video")
    group = FlagGroup(into, "Learning")
    group.text("output_dir", "learned_hyper")
    what = "the number of frames in a snippet after its first one"
    group.whole("snippet_frames", 16, meaning=what)
    group.whole("steps", 100)
    group.whole("batch", 4)
    group.real("learning_rate", 0.05)
    group.whole("seed", 0)
    tracker = ("backbone", "layers", "gamma", "eta", "lambda", "sigma", "input_size")
    options.define(into, {*tracker, "weights"})
    startup.define(into, ("compilation_cache",))


if __name__ == "__main__":
    entry.run(main, define_flags)
