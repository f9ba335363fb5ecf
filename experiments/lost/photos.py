"""Calibrate a memory's two thresholds on photos.

::

    hcft photos --photos=FOLDER --config=hcft --output_dir=lost
    hcft photos --photos=FOLDER --config=lite0 --most=60

A random place in a photo is the target. Its confidence is taken in the same photo after a drawn
change (shift, rotation, size, light, blur, noise), where it is *present*, and in the next photo,
where it is *absent*: where the tracker would find it, and the best of ``--looks`` search windows
over that photo. ``doubted_below`` has the least balanced error between present and absent ones (as
the PSR's threshold in ``experiments/lost``), ``found_above`` is exceeded by 1 % of the best absent
ones. What the thresholds that the tracker has do on these photos is said beside that. No sequence
that a tracker is judged on is looked at.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import confidences

    return confidences.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "hcft")
    group = FlagGroup(into, "What is looked at")
    group.text("photos")
    group.whole("most", 200)
    group.whole("seed", 0)
    group.text("output_dir", "lost")
    options.define(into, {"weights", "looks"})


if __name__ == "__main__":
    entry.run(main, define_flags)
