"""The main job, from flags to a result; commands import it when they begin to work."""

import sys

from absl import flags

from hcft_jax.benchmark import benchmark
from hcft_jax.benchmark.outcome import report
from hcft_jax.experiment import options
from hcft_jax.own_video import tracking
from hcft_jax.util import startup
from hcft_jax.util.errors import command


@command("interrupted; what is finished is kept, the same command continues")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the experiment that the flags describe; return the exit status."""
    experiment = options.experiment(given)
    process = startup.start(given)
    if experiment.own is not None:
        print(tracking.run(experiment))
        return 0
    outcome = benchmark.run(experiment, process=process)
    if process.index > 1:  # the first one speaks for all
        return 1 if outcome.failed else 0
    print(report(outcome))
    print(f"boxes, summary.json and overlays: {outcome.folder}")
    if outcome.failed:
        print(f"error: {len(outcome.failed)} failed: {', '.join(outcome.failed)}", file=sys.stderr)
    return 1 if outcome.failed else 0
