"""Track the sequences of a data set, or a video of your own, and score the result: the main job.

::

    hcft track --config=otb --data_dir=OTB100 --sequences=Deer,Girl --protocols=ope,tre,sre
    hcft track --config=video --video=cat.mp4 --box=210,120,64,48

``python -m hcft_jax.main`` is the same command. --config names a shipped configuration (hcft, cf2,
hcft_plus, lite0, lite0_fast, otb, demo, video, c5, c4, c3, c5_c4, c543, first_layer, slow_update,
kcf, ..., and on AlexNet's features alex, alex_c5, ...) or a Python file with get_config(). Every
other flag changes one of its fields. Results go to OUTPUT_DIR/<label>-<hash>/. Finished
sequences are kept, so the same command resumes an interrupted run.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry, startup
from hcft_jax.util.errors import InputError, report


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the experiment that the flags describe; return the exit status.

    Args:
        argv: What the parsed flags have left over, after the program's name. In Python and in
            notebooks, where nobody has parsed any, it may have the flags.
        given: The flags.
    """
    from hcft_jax import job

    if given is flags.FLAGS and not given.is_parsed():
        try:
            argv, given = entry.parsed(argv, define_flags)
        except InputError as error:
            return report(error)
    return job.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    options.define(into)
    startup.define(into)


if __name__ == "__main__":
    entry.run(main, define_flags)
