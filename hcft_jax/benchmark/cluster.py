"""The runs of a sweep spread over a Ray cluster (https://docs.ray.io; optional extra ``ray``).

One worker process an accelerator, or for some cores where there is none. A worker holds the
network's parameters, which come from here once, and gets one run after the other, if it can of the
sequence it has compiled for. The result files are the workers' output: they are written by
``engine.obtain`` as anywhere, to a file system that all nodes must share. Workers may die: what
was not finished is done again, and what was is not.
"""

import contextlib
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

from hcft_jax.backbones.backbone import Params as HostParams
from hcft_jax.benchmark.engine import obtain, on_device, settling
from hcft_jax.benchmark.jobs import Unit
from hcft_jax.benchmark.outcome import device, versions
from hcft_jax.benchmark.plan import Task
from hcft_jax.benchmark.progress import Meter
from hcft_jax.core.tracker import Params
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.errors import InputError

CPUS = 4  # of a worker, where there is no GPU: more workers of few cores do more than one of many
LOOK = 1.0  # seconds after which the progress line is brought up to date
UNSEEN = 60.0  # seconds until a network file system must show what another node wrote


class Reply(NamedTuple):
    """What a worker says of a run."""

    error: str | None  # why it failed
    frames: int  # tracked; 0 where the result was there or copied


class Worker:
    """The process that tracks; a Ray actor."""

    def __init__(self, cpus: int | None) -> None:
        """Before JAX starts: ``cpus`` is the number of its threads, None leaves it alone."""
        logging.getLogger("jax").setLevel(logging.WARNING)
        if cpus is not None:
            os.environ["NPROC"] = str(cpus)  # XLA's size of its thread pool
        self._params: dict[str, Params] = {}

    def describe(self) -> dict[str, Any]:
        """Its versions and its device; it is up then."""
        return {"versions": versions(), "device": device()}

    def track(
        self,
        experiment: Experiment,
        unit: Unit,
        others: Sequence[Unit],
        digest: str,
        weights: "list[Any]",
    ) -> Reply:
        """``engine.obtain``; ``weights`` holds the reference to the parameters."""
        import ray

        if digest not in self._params:
            params: HostParams = ray.get(weights[0])
            self._params[digest] = on_device(experiment, params)
        frames = 0

        def advance(count: int) -> None:
            nonlocal frames
            frames += count

        try:
            obtain(experiment, self._params[digest], unit, others, advance)
        except InputError as error:
            return Reply(str(error), frames)
        return Reply(None, frames)


@dataclass(eq=False)
class _Hand:
    """A worker as the driver sees it."""

    actor: Any
    device: dict[str, Any] = field(default_factory=dict)
    executable: Hashable = None  # what it has compiled for last


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """A connection to a Ray cluster: the module ``ray``, ready for use.

    To be made before JAX has started in this process, which only hands out work: it must not take
    the memory of an accelerator that a worker is to use, nor fork once JAX has its threads.

    Args:
        address: Of a running cluster, ``auto`` for the one this machine belongs to, or ``local``:
            one is started on this machine and stopped afterwards.

    Raises:
        InputError: Ray is not installed, or there is no such cluster.
    """
    jax.config.update("jax_platforms", "cpu")
    try:
        import ray
    except ImportError as error:
        raise InputError(
            f"--engine=ray: Ray cannot be imported ({error}); pip install 'hcft_jax[ray]'"
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tell nobody unless asked to
    # what workers print would break into the progress line
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        settings["include_dashboard"] = False
    try:
        ray.init(address=address, **settings)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise InputError(f"--ray_address={address}: no cluster there ({_line(error)})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def work(
    ray: Any, tasks: Sequence[Task], progress: Meter, *, cpus: int | None, retries: int
) -> None:
    """Has tasks done on a cluster and settles each, as ``engine.work`` does them here.

    Args:
        ray: What ``connected`` gave.
        tasks: In the order in which they should be begun.
        progress: Is told of each.
        cpus: Cores of a worker where the cluster has no GPU. None: ``CPUS``, or a node's.
        retries: How often a run is done again whose worker died before it is given up.

    Raises:
        InputError: a worker's size is more than any node has, no worker can be started, their
            versions differ from this process's, or their files cannot be seen here.
    """
    _Driver(ray, tasks, progress, retries).run(*_workers(ray, cpus))


def _workers(ray: Any, cpus: int | None) -> tuple[int, dict[str, Any], int | None]:
    """How many workers the cluster has room for, what each takes of it, and its threads."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpus := sum(int(node.get("GPU", 0)) for node in nodes):
        return gpus, {"num_gpus": 1, "num_cpus": 1}, None
    cores = [int(node.get("CPU", 0)) for node in nodes]
    largest = max(cores, default=0)
    if largest < (cpus or 1):
        raise InputError(f"--ray_cpus: {cpus or 1}, but the cluster's largest node has {largest}")
    cpus = cpus or min(CPUS, largest)
    return sum(node // cpus for node in cores), {"num_gpus": 0, "num_cpus": cpus}, cpus


class _Driver:
    """Hands out tasks, and takes back those of workers that died."""

    def __init__(self, ray: Any, tasks: Sequence[Task], progress: Meter, retries: int) -> None:
        self._ray, self._progress, self._retries = ray, progress, retries
        self._waiting = list(tasks)
        self._deaths: Counter[Task] = Counter()
        self._starting: dict[Any, _Hand] = {}  # by reference to the answer
        self._running: dict[Any, tuple[_Hand, Task]] = {}
        self._idle: list[_Hand] = []
        self._unseen: list[Task] = []
        digests = {task.outcome.weights.digest: task.outcome.weights.params for task in tasks}
        self._weights = {digest: ray.put(params) for digest, params in digests.items()}

    def run(self, count: int, resources: dict[str, Any], cpus: int | None) -> None:
        """Does everything with at most ``count`` workers; see ``work``."""
        actor = self._ray.remote(Worker).options(max_restarts=0, **resources)
        hands = min(count, len(self._waiting))
        try:
            for _ in range(hands):
                self._start(actor.remote(cpus))
            while self._waiting or self._running:
                self._hand_out()
                if answers := [*self._running, *self._starting]:
                    ready, _ = self._ray.wait(answers, timeout=LOOK)
                    for answer in ready:
                        if not self._take(answer):
                            self._start(actor.remote(cpus))
                self._progress.show()
            self._see()
        finally:  # after Ctrl-C too: a dead worker leaves no half-written result
            for hand in [
                *self._idle,
                *self._starting.values(),
                *(h for h, _ in self._running.values()),
            ]:
                self._ray.kill(hand.actor)

    def _start(self, actor: Any) -> None:
        self._starting[actor.describe.remote()] = _Hand(actor)

    def _hand_out(self) -> None:
        """A task for every idle worker."""
        for task in [task for task in self._waiting if task.failed]:
            self._waiting.remove(task)
            self._progress.end(task, failed=True)
        while self._idle and self._waiting:
            hand = self._idle.pop(0)
            busy = {task.executable for _, task in self._running.values()}
            task = choose(self._waiting, hand.executable, busy)
            self._waiting.remove(task)
            hand.executable = task.executable
            self._progress.begin(task)
            digest = task.outcome.weights.digest
            answer = hand.actor.track.remote(
                task.experiment, task.unit, task.others, digest, [self._weights[digest]]
            )
            self._running[answer] = hand, task

    def _take(self, answer: Any) -> bool:
        """What an answer brings; False where its worker died and should be replaced."""
        if answer in self._starting:
            hand = self._starting.pop(answer)
            try:
                about = self._ray.get(answer)
            except self._ray.exceptions.RayError as error:
                # not replaced: the next one would die as well
                tqdm.write(f"note: a Ray worker did not start ({_line(error)})", file=sys.stderr)
                if not (self._starting or self._running or self._idle):
                    raise InputError(f"no Ray worker can be started ({_line(error)})") from error
                return True
            _same_versions(about["versions"])
            hand.device = about["device"]
            self._idle.append(hand)
            return True
        hand, task = self._running.pop(answer)
        try:
            reply = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError:
            raise  # not the worker but the program is at fault
        except self._ray.exceptions.RayError as error:
            self._ray.kill(hand.actor)  # it may only be out of reach
            self._again(task, error)
            return False
        self._idle.append(hand)
        task.outcome.device = hand.device
        self._progress.advance(task, reply.frames)
        self._finish(task, reply.error)
        if reply.error is None and not task.unit.result.exists():
            self._unseen.append(task)
        return True

    def _again(self, task: Task, error: Exception) -> None:
        self._deaths[task] += 1
        if self._deaths[task] <= self._retries:
            self._progress.back(task)
            self._waiting.insert(0, task)
        else:
            what = f"{task.unit.run.label}: " if task.unit.run.label else ""
            self._finish(task, f"{what}its worker died {self._deaths[task]} times ({_line(error)})")

    def _finish(self, task: Task, error: str | None) -> None:
        self._progress.end(task, failed=error is not None)
        with settling(task):
            if error is not None:
                raise InputError(error)

    def _see(self) -> None:
        """Waits until results that other nodes have written are visible here."""
        until = time.monotonic() + UNSEEN
        while any(not task.unit.result.exists() for task in self._unseen):
            if time.monotonic() > until:
                task = next(task for task in self._unseen if not task.unit.result.exists())
                raise InputError(
                    f"{task.unit.result}: its worker has written it, but it is not here: "
                    "--output_dir must be on a file system that all nodes share"
                )
            time.sleep(LOOK)


def choose(waiting: Sequence[Task], last: Hashable, busy: Collection[Hashable]) -> Task:
    """The next task of a worker: compiling anew should be rare, and all should end together.

    Args:
        waiting: The tasks that are left, at least one.
        last: The executable that the worker has (``Task.executable``), or None.
        busy: Those that the other workers have.

    Returns:
        The first one of ``last``; else the first of one that no worker has; else the first of the
        one with the most frames waiting.
    """
    frames: Counter[Hashable] = Counter()
    first: dict[Hashable, Task] = {}
    for task in waiting:
        first.setdefault(task.executable, task)
        frames[task.executable] += task.frames
    if last in first:
        return first[last]
    free = (task for executable, task in first.items() if executable not in busy)
    return next(free, first[frames.most_common(1)[0][0]])


def _same_versions(theirs: dict[str, str]) -> None:
    """Boxes of other versions could differ, and nobody would see which are whose."""
    ours = versions()
    for name in ("hcft_jax", "jax"):
        if theirs[name] != ours[name]:
            raise InputError(
                f"a Ray worker has {name} {theirs[name]}, this machine {ours[name]}: install the "
                "same everywhere"
            )


def _line(error: BaseException) -> str:
    """The line of a message that says most: the last one, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
