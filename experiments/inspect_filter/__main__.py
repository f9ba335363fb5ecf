"""Show what a learned filter looks at: write figures of one sequence.

::

    hcft inspect_filter --data_dir=OTB100 --sequences=Deer --frames=10,40
    hcft inspect_filter --config=lite0    # a drawn sequence

The command tracks the sequence with the configuration that --config and the other flags of
``hcft_jax.main`` describe. OUTPUT_DIR/<label>-<hash>/inspect/<Sequence>/ then holds

=========================  =========================================================================
responses-<frame>.png      each layer's response over the search window, their sum, peak and truth
gradient-<frame>.png       |d response / d pixel| at the peak: of the sum and of each layer
filters-<frame>.png        the filters that searched the frame, in the spatial domain
layers.png, .json, .md     the sequence with all layers, without each, and with each alone
inspect.md                 the list of these files, and the settings
=========================  =========================================================================

Frames are counted from 1; without --frames three are spread over the sequence. In frame 1 the box
is given, and nothing is searched.
"""

from absl import flags

from hcft_jax.core.choices import TrackerConfig
from hcft_jax.experiment import options
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import entry, startup
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import inspected_sequence

    return inspected_sequence.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    what = "numbers of frames, from 1"
    FlagGroup(into, "What is shown").many(
        "frames", meaning=what, shown="3 spread over the sequence"
    )
    options.define(into, options.names(Experiment, TrackerConfig))
    startup.define(into)


if __name__ == "__main__":
    entry.run(main, define_flags)
