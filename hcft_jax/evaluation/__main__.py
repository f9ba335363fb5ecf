r"""Score result folders of any program, without a tracker: tables, plots and a report.

::

    hcft evaluate --results=results,published/mat --annotations=otb_meta --output_dir=scores
    hcft evaluate --results=results --annotations=otb_meta --output_dir=scores \
        --report --data_dir=OTB100

Results are those of this program, the OTB MATLAB toolkit, the GOT-10k toolkit or pysot, or plain
text (``result_folders``); annotations are ``anno/``, ``attributes.csv``, ``initOmit/``, or ground
truth of your own: <Name>.txt with a row x,y,w,h per frame (from 1), or a data set in any known
layout. --sequences scores some of the sequences, by name. Below OUTPUT_DIR:

    summary.json       {tracker: {subset: {n, dp20, os50, auc, cle, ...}}}
    attributes.json    the same by attribute      sequences.json   by sequence
    intervals.json     95 % bootstrap intervals of means and of differences between trackers
    curves.json        mean curves                problems.json    what could not be used
    tables/, plots/    Markdown, LaTeX, CSV; PNG, PDF
    tre/, sre/         the same for temporal and spatial robustness, if there are results of them
    report.html        with --report: everything on one interactive page, frames with --data_dir

With --export=FORMAT nothing is scored: the results are written to OUTPUT_DIR in that layout. Each
file or target that cannot be used is one line on the terminal; the exit status is then 1.
"""

from absl import flags

from hcft_jax.evaluation import bootstrap, result_folders
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import FlagGroup


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    from hcft_jax.evaluation import scoring

    return scoring.main(argv, given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "What is scored")
    group.folders("results")
    group.text("annotations")
    group.many("sequences")
    group.switch("sre_unscale")
    group.whole("resamples", bootstrap.RESAMPLES)
    group.whole("seed", 0)
    group = FlagGroup(into, "What is written")
    group.text("output_dir")
    what = f"write the results instead, as {', '.join(result_folders.FORMATS)}"
    group.text("export", meaning=what)
    group.switch("report", meaning="also write report.html, one interactive page")
    group.text("data_dir", shown="none: the report shows no frames")
    group.whole("max_frames", 40)
    what = "longest side of the report's frames in pixels"
    group.whole("max_side", 320, meaning=what)


if __name__ == "__main__":
    entry.run(main, define_flags)
