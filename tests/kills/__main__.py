"""End commands at random moments and give them again: nothing may be lost, half or left over.

    python -m tests.kills [--points=20] [--seed=0] [--jobs=lanes,video] [--endings=SIGKILL,...]

Each job is run undisturbed. Then it is ended, by each ending at so many points, and given
again, to the end or to be ended once more. What is there after each end is read, what was finished
must not be made again, and at the end all files must be those of the undisturbed run
(``contents`` says which fields are left out). The table says how many points were tried, how many
ended with equal files and how many did not; the lines below it say what is wrong with which.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hcft_jax.evaluation.results import aligned

from . import chains, endings
from .chains import Cell, Tally, Undisturbed
from .endings import ENDINGS, FULL, Ending
from .jobs import Job, prepared


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("--points", type=int, default=20, help="of each job and ending [20]")
    parser.add_argument("--seed", type=int, default=0, help="of the moments [0]")
    parser.add_argument("--jobs", default="", help="only these, separated by commas [all]")
    parser.add_argument("--endings", default="", help="only these, separated by commas [all]")
    cores = os.cpu_count() or 1
    parser.add_argument("--beside", type=int, default=cores, help="commands at a time [cores]")
    parser.add_argument("--cache", help="folder for compiled programs [a new one]")
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="kills-"))
    with prepared(work / "inputs") as jobs:
        chosen = _chosen(options.jobs, {job.name: job for job in jobs})
        ended = _chosen(options.endings, {ending.name: ending for ending in ENDINGS})
        trials = Trials(work, options.seed, options.points, options.beside, options.cache)
        tallies = trials.run(chosen, ended)
    print(table(tallies, chosen, ended, trials.skipped))
    told = [line for tally in tallies.values() for line in tally.told]
    print("\n".join(told))
    if told:
        print(f"what is wrong is kept in {work}")
        return 1
    shutil.rmtree(work, ignore_errors=True)
    return 0


def _chosen(names: str, known: Mapping[str, Any]) -> list[Any]:
    wanted = names.split(",") if names else list(known)
    if unknown := set(wanted) - set(known):
        sys.exit(f"error: no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


class Trials:
    """The points of jobs and endings, some at a time."""

    def __init__(self, work: Path, seed: int, points: int, beside: int, cache: str | None) -> None:
        """Take what is tried, in which folder."""
        self._work, self._seed, self._points, self._beside = work, seed, points, beside
        programs = Path(cache or work / "cache").absolute()
        self._environment = {
            "HCFT_CACHE": str(programs),
            "JAX_COMPILATION_CACHE_DIR": str(programs / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "RAY_TMPDIR": str(work / "ray"),
            # other work may be going on, beside which Ray's workers would hardly get a core
            "RAY_worker_register_timeout_seconds": "600",
            "RAY_worker_niceness": "0",
        }
        self._started = time.monotonic()
        self.skipped: dict[str, str] = {}  # why, by job or ending

    def run(self, jobs: list[Job], ended: list[Ending]) -> dict[tuple[str, str], Tally]:
        """Run them all; return the tallies by job and ending."""
        self.skipped = {job.name: job.missing for job in jobs if job.missing}
        if FULL in ended and (why := endings.no_disk(self._work)):
            self.skipped[FULL.name] = why
        jobs = [job for job in jobs if job.name not in self.skipped]
        ended = [ending for ending in ended if ending.name not in self.skipped]
        with ThreadPoolExecutor(self._beside) as pool:
            clean = dict(zip(jobs, pool.map(self._undisturbed, jobs), strict=True))
            pairs = [(job, ending) for job in jobs for ending in ended]
            alone = [pair for pair in pairs if pair[0].alone]
            first = pool.submit(lambda: [self._cell(*pair, clean[pair[0]]) for pair in alone])
            others = [pair for pair in pairs if not pair[0].alone]
            running = [pool.submit(self._cell, *pair, clean[pair[0]]) for pair in others]
            tallies = [*first.result(), *(cell.result() for cell in running)]
        names = [(job.name, ending.name) for job, ending in [*alone, *others]]
        return dict(zip(names, tallies, strict=True))

    def _undisturbed(self, job: Job) -> Undisturbed:
        clean = chains.undisturbed(job, self._work, self._environment)
        self._say(
            f"{job.name}: {clean.changes} changes undisturbed, first after {clean.start:.1f} s"
        )
        return clean

    def _cell(self, job: Job, ending: Ending, clean: Undisturbed) -> Tally:
        cell = Cell(job, ending, clean, self._work, self._environment, self._seed)
        tally = cell.run(self._points)
        self._say(f"{job.name}, {ending.name}: {tally.tried} tried, {tally.wrong} wrong")
        for line in tally.told:
            self._say(f"wrong: {line}")
        return tally

    def _say(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        print(f"{seconds:6.0f} s  {line}", file=sys.stderr, flush=True)


def table(
    tallies: dict[tuple[str, str], Tally],
    jobs: list[Job],
    ended: list[Ending],
    skipped: dict[str, str],
) -> str:
    """Return the table: tried / equal / wrong, of each job and ending."""
    rows = [["tried / equal / wrong", *(ending.name for ending in ended)]]
    for job in jobs:
        row = [job.name]
        for ending in ended:
            tally = tallies.get((job.name, ending.name))
            row.append(f"{tally.tried} / {tally.equal} / {tally.wrong}" if tally else "-")
        rows.append(row)
    total = [sum(getattr(t, of) for t in tallies.values()) for of in ("tried", "equal", "wrong")]
    lines = [aligned(rows, left=1), "{} tried, {} ended with equal files, {} wrong".format(*total)]
    return "\n".join([*lines, *(f"not tried: {name}: {why}" for name, why in skipped.items())])


if __name__ == "__main__":
    # a shell's background job ignores Ctrl-C, and so would what it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
