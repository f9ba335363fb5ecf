"""Track targets in a video of your own, which needs no data set: a file, images, a camera or a URL.

::

    hcft video --video=cat.mp4 --box=210,120,64,48
    hcft video --video=cat.mp4 --select --config=hcft_plus --show

This leaves the boxes as CSV and a video that shows them below OUTPUT_DIR. Where VGG-19's weights
are not there, the tracker is lite0's, which is installed with this package.
``python -m hcft_jax.track_video`` is the same command, and so is ``hcft track --config=video``.
"""

from absl import flags

from hcft_jax.core.choices import TrackerConfig
from hcft_jax.experiment import options
from hcft_jax.experiment.settings import OwnVideo
from hcft_jax.util import entry, startup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Track in the video that the flags name; return the exit status."""
    from hcft_jax import job

    return job.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    options.config(into, "video")
    options.define(into, {*options.names(OwnVideo, TrackerConfig), "weights", "output_dir"})
    startup.define(into)


if __name__ == "__main__":
    entry.run(main, define_flags)
