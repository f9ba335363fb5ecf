"""Fetch, convert and check files of network parameters.

::

    hcft weights fetch --backbone=vgg19
    hcft weights convert SOURCE DEST --preset=torchvision
    hcft weights check FILE

``fetch`` downloads a backbone's public file into the cache, ``convert`` writes another program's
file as a native one, and ``check`` is the self-test of a file.
"""

from absl import flags

from hcft_jax.backbones import registry
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Do what the words ask for; return the exit status."""
    from hcft_jax.weights import conversion

    return conversion.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "fetch")
    group.text("backbone", meaning=registry.MEANING, shown=registry.DEFAULT)
    group.text("url")
    group = FlagGroup(into, "convert")
    what = "which training a .pth file has, for example torchvision or caffe"
    group.text("preset", meaning=what)


if __name__ == "__main__":
    entry.run(main, define_flags)
