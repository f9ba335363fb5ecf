"""Track many settings over many sequences, and set the settings side by side.

::

    hcft sweep --vary=eta=0.005/0.01/0.02 --config=lite0 --data_dir=OTB100
    hcft sweep --sweep=ablation --data_dir=OTB100 --shard=2/4
    hcft sweep --sweep=my/sweep.py --data_dir=OTB100 --engine=ray

--vary gives flags of the tracker several values each, with / between them and a blank between
flags: all combinations of them are tracked, on --config. --sweep names a shipped sweep (ablation,
gamma_eta) or a Python file with get_sweep(), which returns a list of experiments
(``hcft_jax.experiment.sweeps``). Every other flag of ``hcft_jax.main`` changes its field in all of
them. Each run of each setting has the result file that ``hcft_jax.main`` would give it, so existing
results are taken, whoever made them, and the same command continues after any interruption.

Then the settings' means on the sequences that all have, with 95 % bootstrap intervals, and their
differences to the first setting are printed and written to OUTPUT_DIR/<sweep>.json and .md.

--shard=i/n does part i of n, here; n commands, on machines that share OUTPUT_DIR, do everything.
--engine=ray does it on a Ray cluster. --dry_run shows what is to be done.
"""

from absl import flags

from hcft_jax.core.choices import TrackerConfig
from hcft_jax.experiment import options
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import entry, startup
from hcft_jax.util.flag_groups import FlagGroup

from . import ENGINES


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import swept

    return swept.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "The sweep")
    group.text("sweep", meaning="a shipped sweep's name, or file.py with get_sweep()")
    group.text("shard", "1/1", meaning="i/n: only part i of n of the runs")
    group.switch("dry_run", meaning="only show what is to be done")
    group.one_of("engine", ENGINES[0], ENGINES, meaning="here, or on a Ray cluster")
    what = "flags of the tracker and their values: eta=0.01/0.02 'radius=4/8 eta=0.01/0.02'"
    group.text("vary", meaning=what)
    options.config(into, "otb")
    what = "a running cluster (auto, host:port), or local: one is started on this machine"
    group.text("ray_address", "local", meaning=what)
    what = "cores per worker where there is no GPU"
    group.whole("ray_cpus", meaning=what, shown="4, or all of a smaller node")
    group.whole("max_retries", 3, meaning="how often a run whose worker died is repeated")
    options.define(into, options.names(Experiment, TrackerConfig))
    startup.define(into)


if __name__ == "__main__":
    entry.run(main, define_flags)
