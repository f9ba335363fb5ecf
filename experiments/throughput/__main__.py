r"""Measure how fast the tracker is, against a plain one and against PyTorch, and what limits it.

::

    hcft throughput --quick --output=OUT.json    # minutes on 2 cores
    hcft throughput --output=OUT.json --table=BENCHMARKS.md
    hcft throughput --output=OUT.json --data_dir=OTB --max_frames=40
    hcft throughput --parts=frame,video --output=COSTS.json
    hcft throughput --feed --output=FEED.json
    hcft throughput --growth --backbone=efficientnet_lite0 --layers=block11,block8,block2 \
        --output=GROWTH.json
    hcft throughput --runs=OUT.json,GROWTH.json --table=BENCHMARKS.md

These programs are timed in turn, round by round (``rows`` of the file): ``plain``, the
straightforward compiled tracker (two passes per frame, jnp.fft, each target its own executables);
``exact``, this package's tracker, one sequence after the other and in lanes; ``torch_plain`` and
``torch_tuned``, the same method in PyTorch, where that is installed
(``pip install 'hcft_jax[torch]'``), on a GPU once with convolutions in float32 and once in TF32
(``torch_plain_tf32``, ``torch_tuned_tf32``). Frames per second count every frame, with decoding and
without compiling. The boxes of all of them are compared with those of ``plain`` in every frame.

The same file has cold and warm starts, the machine's ceilings (a large matmul, copy, transfer), the
bare network against PyTorch's, and the stages of a frame timed separately. On request it has
``frame``, a moved and an unmoved frame next to the network passes that they contain, ``video``, the
time that ``hcft_jax.Tracker`` adds to the compiled step and the time of several targets in one
video, and ``feed``, what the host delivers to a device that does nothing. The file is written anew
after each part, so the finished parts are kept when a later part fails. ``--growth`` measures and
plots the cost against lanes, length, image size and layers.

Without --data_dir sequences are drawn and written as JPEG. A GPU is measured by the same commands.
"""

from absl import flags

from hcft_jax.experiment import options
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup

from . import MORE, PARTS, TRACKER


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from . import measuring

    return measuring.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "What is measured")
    group.switch("quick", meaning="measure less, in minutes on two cores")
    what = f"the parts to measure: {', '.join((*PARTS, *MORE))}"
    group.many("parts", PARTS, meaning=what)
    what = "instead: cost against lanes, length, image, layers"
    group.switch("growth", meaning=what)
    group.switch("feed", meaning="instead: frames for a device that does nothing")
    what = "numbers of lanes"
    shown = "1, 4 with --quick, else 1, 2, 4, ... 128"
    group.many("lane_counts", meaning=what, shown=shown)
    what = "the tracker's modes of --precision to measure"
    group.many("precisions", meaning=what, shown="all")
    what = "the most buckets, two executables each"
    group.whole("buckets", meaning=what, shown="1 with --quick, else 2")
    group.whole("devices", 1, meaning="number of devices that share the lanes")
    what = "rounds in which the programs are timed in turn"
    group.whole("repeats", meaning=what)
    group.real("budget", meaning="seconds after which no new round begins")
    lengths = ["100", "300", "1000", "3000", "10000"]
    group.many("lengths", lengths, meaning="of videos, for --growth")
    group.whole("images", 5, meaning="number of image sizes, for --growth")
    group = FlagGroup(into, "What it is measured on")
    group.text("data_dir", shown="drawn ones")
    group.many("sequences")
    group.whole("max_frames", shown="all; 20 for the video")
    group.whole("drawn")
    what = "factor for the size of drawn images and targets"
    group.real("drawn_scale", 1.0, meaning=what)
    group = FlagGroup(into, "Where it goes")
    group.text("output", shown="needed, a .json file")
    what = "measure nothing: the .json of one or several runs, for --table"
    group.folders("runs", meaning=what)
    group.text("table", meaning="Markdown file whose marked sections are replaced")
    options.define(into, {*TRACKER, "weights"})


if __name__ == "__main__":
    entry.run(main, define_flags)
