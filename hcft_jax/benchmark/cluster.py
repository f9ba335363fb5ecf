"""The runs of a sweep spread over a Ray cluster (https://docs.ray.io; optional extra ``ray``).

There is one worker process per accelerator, or per some cores where there is none. A worker holds
the network's parameters, which come from here once, and gets one run after the other, if possible
of the sequence that it has compiled for. The result files are the workers' output: they are written
by ``execute.obtain`` as anywhere, to a file system that all nodes must share. When a worker dies,
its unfinished run is done again.
"""

import contextlib
import functools
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
from tqdm.auto import tqdm

from hcft_jax.benchmark.execute import Parameters, obtain
from hcft_jax.benchmark.plan import Planned
from hcft_jax.benchmark.progress import Meter
from hcft_jax.benchmark.tasks import Done, Task
from hcft_jax.run.environment import device, versions
from hcft_jax.util import interrupts
from hcft_jax.util.errors import InputError, SettingError, StorageError

CPUS = 4  # of a worker, where there is no GPU: more workers of few cores do more than one of many
LOOK = 1.0  # seconds between updates of the progress line
UNSEEN = 60.0  # seconds until a network file system must show what another node wrote


class Worker:
    """The process that tracks; a Ray actor."""

    def __init__(self, cpus: int | None) -> None:
        """Set JAX up before it starts; ``cpus`` is the number of its threads, None: its default."""
        logging.getLogger("jax").setLevel(logging.WARNING)
        if cpus is not None:
            os.environ["NPROC"] = str(cpus)  # XLA's size of its thread pool
        self._params = Parameters()

    def describe(self) -> dict[str, Any]:
        """Return its versions and its device."""
        return {"versions": versions(), "device": device()}

    def track(self, task: Task, weights: "list[Any]") -> tuple[InputError | None, int]:
        """Make a task's files; ``weights`` holds the reference to the parameters.

        Returns:
            Why it failed, and how many frames were tracked: 0 where the result was there or copied.
        """
        import ray

        frames = 0
        try:
            for more in obtain(task, self._params.of(task, lambda: ray.get(weights[0]))):
                frames += more
        except InputError as error:
            return type(error)(*error.args), frames  # without what caused it, which may not travel
        return None, frames


@dataclass(eq=False)
class _Hand:
    """A worker, as the driver knows it."""

    actor: Any
    device: dict[str, Any] = field(default_factory=dict)
    executable: Hashable = None  # what it has compiled for last


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a Ray cluster, and give the module ``ray``, ready for use.

    Call it before JAX has started in this process, which only hands out work: it must not take the
    memory of an accelerator that a worker is to use, nor fork once JAX has its threads.

    Args:
        address: The address of a running cluster, ``auto`` for the one that this machine belongs
            to, or ``local``: one is started on this machine and stopped afterwards.

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
    interrupts.retake()
    try:
        yield ray
    finally:
        ray.shutdown()


def work(
    planned: Planned,
    tasks: Sequence[Task],
    progress: Meter,
    *,
    ray: Any,
    cpus: int | None,
    retries: int,
) -> Generator[Done]:
    """Do tasks of a plan on a cluster, and yield each one as it ends, as ``execute.work``.

    Args:
        planned: The plan.
        tasks: In the order in which they should be begun.
        progress: Is told of each.
        ray: What ``connected`` gave.
        cpus: Cores of a worker where the cluster has no GPU. None: ``CPUS``, or a node's.
        retries: How often a run whose worker died is repeated before it is given up.

    Raises:
        InputError: a worker's size is more than any node has, no worker can be started, their
            versions differ from this process's, or their files cannot be seen here.
    """
    planned.forget()  # the workers read the frames
    return _Driver(ray, planned, tasks, progress, retries).run(*_workers(ray, cpus))


def _workers(ray: Any, cpus: int | None) -> tuple[int, dict[str, Any], int | None]:
    """Return how many workers the cluster has room for, what each takes of it, and its threads."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpus := sum(int(node.get("GPU", 0)) for node in nodes):
        return gpus, {"num_gpus": 1, "num_cpus": 1}, None
    cores = [int(node.get("CPU", 0)) for node in nodes]
    largest = max(cores, default=0)
    if largest < (cpus or 1):
        raise SettingError("ray_cpus", f"{cpus or 1}, but the cluster's largest node has {largest}")
    cpus = cpus or min(CPUS, largest)
    return sum(node // cpus for node in cores), {"num_gpus": 0, "num_cpus": cpus}, cpus


class _Driver:
    """The side that hands out tasks, and takes back those of workers that died."""

    def __init__(
        self, ray: Any, planned: Planned, tasks: Sequence[Task], progress: Meter, retries: int
    ) -> None:
        self._ray, self._planned, self._progress, self._retries = ray, planned, progress, retries
        self._waiting = list(tasks)
        self._deaths: Counter[Task] = Counter()
        self._starting: dict[Any, _Hand] = {}  # by reference to the answer
        self._running: dict[Any, tuple[_Hand, Task]] = {}
        self._idle: list[_Hand] = []
        self._unseen: list[Task] = []
        params = {task.weights: planned.params(task) for task in tasks}
        self._weights = {digest: ray.put(of) for digest, of in params.items()}

    def run(self, count: int, resources: dict[str, Any], cpus: int | None) -> Generator[Done]:
        """Do everything with at most ``count`` workers; see ``work``."""
        actor = self._ray.remote(Worker).options(max_restarts=0, **resources)
        self._actor = functools.partial(actor.remote, cpus)
        try:
            for _ in range(min(count, len(self._waiting))):
                self._start()
            while self._waiting or self._running:
                interrupts.check()
                self._hand_out()
                if answers := [*self._running, *self._starting]:
                    ready, _ = self._ray.wait(answers, timeout=LOOK)
                    for answer in ready:
                        if answer in self._starting:
                            self._greet(answer)
                        elif (done := self._take(answer)) is not None:
                            yield done
                self._progress.show()
            self._see()
        except (KeyboardInterrupt, GeneratorExit):
            if names := ", ".join(task.title for _, task in self._running.values()):
                tqdm.write(
                    f"note: not finished, and begun anew next time: {names}", file=sys.stderr
                )
            raise
        finally:  # after Ctrl-C too: a dead worker leaves no half-written result
            busy = (hand for hand, _ in self._running.values())
            for hand in [*self._idle, *self._starting.values(), *busy]:
                self._ray.kill(hand.actor)

    def _start(self) -> None:
        hand = _Hand(self._actor())
        self._starting[hand.actor.describe.remote()] = hand

    def _hand_out(self) -> None:
        """Give a task to every idle worker."""
        for task in [task for task in self._waiting if self._planned.failed(task)]:
            self._waiting.remove(task)
            self._progress.end(task, failed=True)
        while self._idle and self._waiting:
            hand = self._idle.pop(0)
            busy = {task.executable for _, task in self._running.values()}
            task = choose(self._waiting, hand.executable, busy)
            self._waiting.remove(task)
            hand.executable = task.executable
            self._progress.begin(task)
            answer = hand.actor.track.remote(task, [self._weights[task.weights]])
            self._running[answer] = hand, task

    def _greet(self, answer: Any) -> None:
        """Take in a worker that has started."""
        hand = self._starting.pop(answer)
        try:
            about = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            # not replaced: the next one would die as well
            tqdm.write(f"note: a Ray worker did not start ({_line(error)})", file=sys.stderr)
            if not (self._starting or self._running or self._idle):
                raise InputError(f"no Ray worker can be started ({_line(error)})") from error
            return
        _same_versions(about["versions"])
        hand.device = about["device"]
        self._idle.append(hand)

    def _take(self, answer: Any) -> Done | None:
        """Return the task that an answer ends; None where its worker died and it is repeated."""
        hand, task = self._running.pop(answer)
        try:
            error, frames = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError:
            raise  # not the worker but the program is at fault
        except self._ray.exceptions.RayError as died:
            self._ray.kill(hand.actor)  # it may only be out of reach
            self._start()
            self._deaths[task] += 1
            if self._deaths[task] <= self._retries:
                self._progress.back(task)
                self._waiting.insert(0, task)
                return None
            what = f"{task.run.label}: " if task.run.label else ""
            times = self._deaths[task]
            error = InputError(f"{what}its worker died {times} times ({_line(died)})")
        else:
            if isinstance(error, StorageError):
                raise error
            self._idle.append(hand)
            self._progress.advance(task, frames)
            if error is None and not task.result.exists():
                self._unseen.append(task)
        self._progress.end(task, failed=error is not None)
        return Done(task, error, hand.device)

    def _see(self) -> None:
        """Wait until results that other nodes have written are visible here."""
        until = time.monotonic() + UNSEEN
        while unseen := [task for task in self._unseen if not task.result.exists()]:
            if time.monotonic() > until:
                raise InputError(
                    f"{unseen[0].result}: its worker has written it, but it is not here: "
                    "--output_dir must be on a file system that all nodes share"
                )
            time.sleep(LOOK)


def choose(waiting: Sequence[Task], last: Hashable, busy: Collection[Hashable]) -> Task:
    """Return the next task of a worker: it should rarely compile anew, and all end together.

    Args:
        waiting: The tasks that are left, at least one.
        last: The executable that the worker has (``Task.executable``), or None.
        busy: The executables that the other workers have.

    Returns:
        The first task of ``last``; else the first one whose executable no worker has; else the
        first one of the executable with the most frames waiting.
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
    """Check versions: boxes of others could differ, and nobody would see which are whose."""
    ours = versions()
    for name in ("hcft_jax", "jax"):
        if theirs[name] != ours[name]:
            raise InputError(
                f"a Ray worker has {name} {theirs[name]}, this machine {ours[name]}: install the "
                "same everywhere"
            )


def _line(error: BaseException) -> str:
    """Return the line of a message that says most: the last one, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
