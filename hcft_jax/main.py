"""Track sequences with HCFT and score the result: the main job.

python -m hcft_jax.main --config=otb --data_dir=OTB100 [--sequences=Deer,Girl] \
    [--protocols=ope,tre,sre --annotations=DIR] [--overlay]
python -m hcft_jax.main --config=video --video=FILE|FOLDER|CAMERA|URL --box=x,y,w,h

--config names a shipped configuration (hcft, cf2, hcft_plus, lite0, lite0_fast, otb, demo, video,
c5, c4, c3, c5_c4, c543, first_layer, slow_update, kcf, ..., and on AlexNet's features alex,
alex_c5, ...) or a Python file with get_config(). Every other flag changes one of its fields.
Finished sequences are kept, so the same command resumes an interrupted run.
"""

import sys

from absl import flags

from hcft_jax.benchmark import benchmark
from hcft_jax.benchmark.outcome import report
from hcft_jax.experiment import options, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.own_video import tracking
from hcft_jax.util import entry, startup
from hcft_jax.util.errors import command

_CONFIG = flags.DEFINE_string("config", "hcft", "configuration: a shipped one's name, or a file.py")
options.define()
startup.define()


def experiment_of_flags() -> Experiment:
    """Return the configuration that --config names, with the fields that other flags set.

    Raises:
        InputError: an unknown configuration, or a value that no tracker can have.
    """
    experiment = settings.override(settings.load(_CONFIG.value), options.changes()).validate()
    return options.equipped(experiment)


@command("interrupted; what is finished is kept, the same command continues")
def main(argv: list[str]) -> int:
    """Run the experiment that the flags describe; return the exit status."""
    experiment = experiment_of_flags()
    process = startup.start()
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


def run() -> None:
    """Start the command, ``hcft`` or ``python -m hcft_jax.main``."""
    entry.run(main)


if __name__ == "__main__":
    run()
