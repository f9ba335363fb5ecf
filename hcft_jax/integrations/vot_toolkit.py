"""Serve the VOT toolkit and other TraX clients: one process tracks many targets.

::

    hcft vot --config=hcft
    hcft vot --config=hcft_plus --weights=vgg19.npz

In the toolkit's ``trackers.ini``::

    [HCFT]
    label = HCFT
    protocol = trax
    command = python -m hcft_jax.integrations.vot_toolkit --config=hcft
    timeout = 300

The process reads the weights before it greets the client. It compiles when it gets its first target
and answers afterwards; all later frames are fast, and targets of other sizes compile little.
``timeout`` must allow for this; compiled programs are kept for the next start. Regions are
rectangles, 0-based as in the protocol; a polygon is replaced by the box around it. All messages for
people go to the standard error.

Each answer has the property ``confidence``, which is the score of ``hcft_jax.Result`` (the PSR). It
is missing where a target is so small that it has no score.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from hcft_jax.integrations import trax_server

    return trax_server.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    options.define(into, {"weights"})


if __name__ == "__main__":
    entry.run(main, define_flags)
