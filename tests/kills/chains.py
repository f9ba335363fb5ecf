"""Chains of lives: a command is ended, given again, ended once more, and at last left alone."""

import random
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hcft_jax.util.files import reclaim

from . import contents, endings
from .contents import Stamp
from .endings import DELETED, FULL, TWO, Ending
from .jobs import Job
from .lives import Life, Moment, moments

MOST = 8  # lives of a chain: at the latest then it is left alone


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves that nobody disturbs."""

    names: list[str]
    files: dict[str, str]
    changes: int  # of the output folder
    start: float  # seconds until the first of them
    size: int  # bytes


@dataclass
class Tally:
    """How the points of a job and an ending went.

    A point is wrong where its chain is: what it left, what was lost, or what is there at the end.
    """

    tried: int = 0
    equal: int = 0
    wrong: int = 0
    told: list[str] = field(default_factory=list)


def undisturbed(job: Job, work: Path, environment: Mapping[str, str]) -> Undisturbed:
    """Run a command and return what it leaves.

    Raises:
        RuntimeError: It fails, or leaves what is not whole.
    """
    trial = work / f"{job.name}-undisturbed"
    trial.mkdir()
    life = Life(job.command, trial, trial.with_suffix(".log"), environment)
    (changes, start), status = life.count(), life.end()
    if status != 0:
        raise RuntimeError(f"{job.name}: status {status}: {life.said[-2000:]}")
    out = trial / "out"
    if wrong := contents.faults(out):
        raise RuntimeError(f"{job.name}: {wrong}")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    files = contents.compared(out, trial)
    return Undisturbed(contents.listing(out), files, changes, start, size)


def difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return which files differ."""
    names = wanted.keys() | found.keys()
    return [name for name in names if wanted.get(name) != found.get(name)]


class Cell:
    """All points of a job and an ending."""

    def __init__(
        self,
        job: Job,
        ending: Ending,
        clean: Undisturbed,
        work: Path,
        environment: Mapping[str, str],
        seed: int,
    ) -> None:
        """Take what is tried; nothing is run yet."""
        self._job, self._ending, self._clean, self._seed = job, ending, clean, seed
        self._environment, self._work = environment, work
        self._rng = random.Random(f"{seed} {job.name} {ending.name}")
        self._draw = moments(self._rng, clean.changes, clean.start)
        self.tally = Tally()

    def run(self, points: int) -> Tally:
        """Try so many points, in as many chains as that takes."""
        name = f"{self._job.name}-{self._ending.name}".replace(" ", "-")
        number = 0
        while self.tally.tried < points and number < 2 * points:
            number += 1
            trial = self._work / f"{name}-{number}"
            trial.mkdir()
            chain = _Chain(self._job, self._ending, self._clean, trial, self._environment)
            try:
                if self._ending is FULL:
                    endings.mount(trial, endings.ROOM)
                    chain.mounted = True
                wrong = chain.run(self._rng, self._draw, points - self.tally.tried)
                if wrong:  # what it left is looked at later
                    shutil.copytree(trial, trial.with_suffix(".wrong"), symlinks=True)
            finally:
                if self._ending is FULL:
                    endings.unmount(trial)
            self.tally.tried += chain.points
            if wrong:
                self.tally.wrong += max(1, chain.points)
                said = "; ".join(chain.story)
                self.tally.told.append(
                    f"{self._job.name}, {self._ending.name}, seed {self._seed}, chain {number}: "
                    f"{wrong} [{said}] ({trial.with_suffix('.wrong')})"
                )
            else:
                self.tally.equal += chain.points
                shutil.rmtree(trial)
        return self.tally


class _Chain:
    """The lives of a command on one output folder."""

    def __init__(
        self,
        job: Job,
        ending: Ending,
        clean: Undisturbed,
        trial: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._job, self._ending, self._clean = job, ending, clean
        self._trial, self._out, self._environment = trial, trial / "out", environment
        self._known: dict[Path, Stamp] = {}
        self._lives = 0
        self.points = 0
        self.story: list[str] = []  # of its lives
        self.mounted = False

    def _start(self) -> Life:
        self._lives += 1
        log = self._trial.parent / f"{self._trial.name}.{self._lives}.log"
        return Life(self._job.command, self._trial, log, self._environment)

    def run(self, rng: random.Random, draw: Callable[[], Moment], most: int) -> str:
        """Run it; return what is wrong, in a line."""
        while self.points < most and self._lives < MOST:
            hit, wrong = self._disturbed(rng, draw)
            if wrong:
                return wrong
            if not hit:
                break
            if self._ending is TWO:  # all is done
                break
        return self._last()

    def _disturbed(self, rng: random.Random, draw: Callable[[], Moment]) -> tuple[bool, str]:
        """Live once, and end it; return whether it was alive then, and what is wrong."""
        moment = endings.drawn(self._ending, rng, draw, self._clean.size)
        if self._ending is TWO:
            return self._two(moment)
        if self._ending is FULL:
            room = endings.used(self._trial) + moment.change * endings.PAGE  # type: ignore[operator]
            endings.mount(self._trial, max(room, endings.PAGE), again=True)
            self.story.append(f"{moment.change} pages left")
            life = self._start()
        else:
            life = self._start()
            hit = life.until(moment)
            self.story.append(f"{moment}{'' if hit else ' (over before)'}")
            if hit and self._ending.act:
                self._ending.act(life, self._trial, rng)
        status = life.end()
        if self._ending is FULL:
            hit = status != 0
            endings.mount(self._trial, endings.ROOM, again=True)
        self.points += hit
        if self._ending is DELETED and hit:
            self._known.clear()
        return hit and status != 0, self._looked_at(life, status)

    def _two(self, moment: Moment) -> tuple[bool, str]:
        first = self._start()
        hit = first.until(moment)
        self.story.append(f"second one {moment}{'' if hit else ' (over before)'}")
        second = self._start()
        statuses = first.end(), second.end()
        self.points += hit
        for life, status in zip((first, second), statuses, strict=True):
            if wrong := self._looked_at(life, status):
                return hit, wrong
        return hit, ""

    def _looked_at(self, life: Life, status: int | None) -> str:
        """Return what is wrong with what a life has left; note what is finished."""
        if wrong := endings.complaint(self._ending, status, life.said, life.log):
            return wrong
        if wrong := "; ".join(contents.faults(self._out)):
            return f"half-written: {wrong}"
        return self._kept()

    def _kept(self) -> str:
        """Return what was finished before and is no more, or was made again."""
        now = contents.finished(self._out)
        before, self._known = self._known, now
        for path, stamp in before.items():
            name = path.relative_to(self._out)
            if path in now:
                if now[path] != stamp:
                    return f"made again: {name}"
            elif not contents.is_checkpoint(path):  # there is a newer one
                return f"lost: {name}"
        return ""

    def _counting(self, names: Iterable[str]) -> list[str]:
        """Return the names that count: a training that goes on logs nothing for the second time."""
        deleted = self._ending is DELETED
        return sorted(n for n in names if not (deleted and f"/{contents.LOGS}/" in n))

    def _last(self) -> str:
        """Let it live to its end; return what is wrong then."""
        life = self._start()
        status = life.end()
        if status != 0:
            return f"undisturbed at last, its status is {status} ({life.log})"
        if wrong := "; ".join(contents.faults(self._out)):
            return f"half-written at the end: {wrong}"
        if wrong := self._kept():
            return wrong
        found = contents.compared(self._out, self._trial)
        if other := self._counting(difference(self._clean.files, found)):
            return f"other files: {', '.join(other)}"
        names = contents.listing(self._out)
        if left := self._counting(set(names) ^ set(self._clean.names)):
            return f"left over or missing: {', '.join(left)}"
        if reclaim(self._out):
            return "left over: temporary files of dead processes"
        return ""
