"""The scoring of result folders: files, tables, plots, the page, and results in other layouts."""

import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from hcft_jax.evaluation import annotations, plots, report, result_folders, summary, tables
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.evaluation.results import write_json
from hcft_jax.evaluation.summary import Evaluation
from hcft_jax.util.errors import InputError, command

_SHOWN = 8  # how many missing targets a line names; summary.json names all


def write(evaluation: Evaluation, folder: Path, resamples: int, seed: int) -> dict[str, Any]:
    """Write all files of an evaluation but the page, in place of those of an earlier one.

    Returns:
        The content of ``intervals.json``.

    Raises:
        InputError: the folder cannot be written to.
    """
    _remove_old(folder)
    content = summary.summary(evaluation)
    by_attribute = summary.by_attribute(evaluation)
    intervals = summary.intervals(evaluation, resamples, seed)
    write_json(folder / "attributes.json", by_attribute)
    write_json(folder / "sequences.json", summary.by_sequence(evaluation))
    write_json(folder / "intervals.json", intervals)
    write_json(folder / "curves.json", summary.mean_curves(evaluation))
    write_json(folder / "problems.json", {"problems": [p._asdict() for p in evaluation.problems]})
    for subset, targets in evaluation.subsets.items():
        table = tables.overall(evaluation, subset, content, intervals)
        tables.write(table, folder / "tables" / subset)
        having = any(target.attributes for target in evaluation.benchmark.targets.values())
        for measure in ("auc", "dp20") if having else ():
            table = tables.attributes(evaluation, subset, content, by_attribute, measure)
            tables.write(table, folder / "tables" / f"{subset}_attributes_{measure}")
        means = {
            tracker: mean
            for tracker in evaluation.curves
            if (mean := evaluation.mean(tracker, targets))
        }
        for name, kind in plots.KINDS.items() if means else ():
            where = tables.named(subset, len(targets))
            figure = plots.plot(means, kind, where, evaluation.protocol)
            plots.write(figure, folder / "plots" / f"{subset}_{name}")
    write_json(
        folder / "summary.json", content
    )  # last, so that its presence means that all files are written
    return intervals


def _remove_old(folder: Path) -> None:
    """Remove the files of an earlier evaluation, which may have had other subsets."""
    subsets = (*annotations.SUBSETS, annotations.ALL, summary.COMMON)
    old = [folder / "summary.json", folder / "report.html"]
    for part in ("tables", "plots"):
        old += [p for subset in subsets for p in (folder / part).glob(f"{subset}[._]*")]
    try:
        for path in old:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror or error})") from error


def missing_lines(evaluation: Evaluation) -> list[str]:
    """Return one line for each tracker with missing targets that no reported file explains."""
    lines = []
    for tracker in evaluation.curves:
        reported = {p.sequence for p in evaluation.problems if p.tracker == tracker}
        missing = evaluation.missing(tracker, evaluation.benchmark.targets)
        if absent := [name for name in missing if name not in reported]:
            shown = ", ".join(absent[:_SHOWN]) + (", ..." if len(absent) > _SHOWN else "")
            what = "" if evaluation.protocol == "ope" else f" {evaluation.protocol}"
            lines.append(f"{tracker}: no{what} result of {len(absent)} targets: {shown}")
    return lines


def run(given: flags.FlagValues) -> int:
    """Do what the flags ask for and return the exit status."""
    for name in ("results", "annotations", "output_dir"):
        if not given[name].value:
            raise InputError(f"--{name}: must be given")
    if given.resamples < 1:
        raise InputError(f"--resamples: {given.resamples} must be at least 1")
    pictures = report.Pictures(given.data_dir, given.max_frames, given.max_side)
    if given.data_dir and not given.report:
        raise InputError("--data_dir: only --report shows frames, so give --report too")
    folder = Path(given.output_dir)
    start = time.perf_counter()
    benchmark = annotated = annotations.load(given.annotations)
    if given.sequences:
        benchmark = benchmark.only(given.sequences)
    pictures.find(benchmark)  # so that a wrong folder is reported before the scoring
    results = result_folders.load(given.results, annotated)
    if given.sequences:
        results = results.only(benchmark)
    loaded = time.perf_counter()
    for problem in results.problems:
        print(f"error: {' '.join(problem.line.split())}", file=sys.stderr)
    if given.export:
        result_folders.export(results.boxes, benchmark, given.export, folder)
        count = sum(map(len, results.boxes.values()))
        print(f"{count} results of {len(results.boxes)} trackers as {given.export}: {folder}")
        return 1 if results.problems else 0
    lines = []
    for protocol in PROTOCOLS:
        place = folder if protocol == "ope" else folder / protocol
        if protocol not in ("ope", *results.runs):
            _remove_old(place)
            continue
        begun = time.perf_counter()
        evaluation = summary.evaluate(results, benchmark, protocol, unscale=given.sre_unscale)
        lines += (missing := missing_lines(evaluation))
        for line in missing:
            print(f"error: {line}", file=sys.stderr)
        intervals = write(evaluation, place, given.resamples, given.seed)
        scored = time.perf_counter()
        for subset, targets in evaluation.subsets.items():
            if evaluation.complete(targets):
                print((place / "tables" / f"{subset}.md").read_text(encoding="utf-8"))
        print(
            f"{len(evaluation.curves)} trackers x {len(benchmark.targets)} targets: read in "
            f"{loaded - start:.1f} s, scored, tabulated and plotted in {scored - begun:.1f} s"
        )
        if protocol == "ope":
            one_pass = evaluation, results, intervals, pictures
    print(f"summary.json, tables and plots: {folder}")
    if given.report:  # at the end: a frame or map that cannot be read keeps no table back
        page, begun = folder / "report.html", time.perf_counter()
        size = report.write(page, *one_pass)
        print(f"{page}: {size / 1e6:.1f} MB in {time.perf_counter() - begun:.1f} s")
    return 1 if lines or results.problems else 0


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command and return the exit status."""
    return run(given)
