"""The runner notices whatever can go wrong with an input, and goes on with the next one."""

import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.util.errors import InputError
from tests.hostile import runner, worker
from tests.hostile.kinds import UNDETECTABLE, Case, Door, Planned
from tests.hostile.runner import Worker


def _refuse(text: str) -> Callable[[], Any]:
    def open_() -> Any:
        raise InputError(text)

    return open_


def _of_a_thread() -> None:
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


CASES: dict[str, tuple[Case, str, str]] = {
    "refused": (Case(_refuse("a.txt: bad"), None, ("a.txt",)), "refused", "a.txt: bad"),
    "accepted": (Case(lambda: 3, lambda _: ""), "accepted", ""),
    "not compared": (Case(lambda: 3), "unchecked", ""),
    "other answer": (Case(lambda: 3, lambda _: "4 is right"), "wrong", "4 is right"),
    "exception": (Case(lambda: 1 / 0), "wrong", "ZeroDivisionError"),
    "exit": (Case(lambda: exit(0)), "wrong", "SystemExit"),
    "several lines": (Case(_refuse("a\nb")), "wrong", "not one line"),
    "no name": (Case(_refuse("bad"), None, ("a.txt",)), "wrong", "names none of"),
    "warning": (Case(lambda: warnings.warn("odd", stacklevel=1)), "wrong", "UserWarning"),
    "thread": (Case(_of_a_thread), "wrong", "ZeroDivisionError"),
    "undetectable": (Case(lambda: 3, lambda _: UNDETECTABLE), "wrong", "checksum"),
    "judge": (Case(lambda: 3, lambda _: str(1 / 0)), "wrong", "the judge failed"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_outcome_is_what_it_is(name: str) -> None:
    case, kind, detail = CASES[name]
    outcome = worker.opened(case, unchecked=False)
    assert outcome.kind == kind
    assert detail in outcome.detail


def test_only_doors_of_formats_without_checksums_have_undetectable_damage() -> None:
    case = Case(lambda: 3, lambda _: UNDETECTABLE)
    assert worker.opened(case, unchecked=True).kind == "undetectable"


def test_the_peak_of_memory_is_known() -> None:
    gc.collect()  # what other tests have left would be given back meanwhile
    case = Case(lambda: np.ones(400 << 20, np.uint8).sum())
    assert worker.opened(case, unchecked=False).peak > 200 << 20


SCRIPT = """
import json, os, signal, sys, time
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    seed = json.loads(line)["seed"]
    print(json.dumps("made"), flush=True)
    if seed == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif seed == 2:
        time.sleep(60)
    elif seed == 3:
        kept = bytearray(os.urandom(1 << 20) * 200)
        time.sleep(60)
    print(json.dumps({"kind": "accepted", "detail": "", "peak": 0}), flush=True)
"""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Worker]:
    """A worker whose cases 1, 2 and 3 kill it, hang and take memory."""
    monkeypatch.setattr(runner, "MEMORY", 100 << 20)
    monkeypatch.setattr(runner, "MODULE", ("-c", SCRIPT))
    with Worker() as running:
        yield running


@pytest.mark.parametrize(
    ("seed", "what"), [(1, "ended by SIGSEGV"), (2, "it hangs"), (3, "it takes more than 100 MiB")]
)
def test_a_worker_that_is_lost_is_replaced(
    dying: Worker, seed: int, what: str, tmp_path: Path
) -> None:
    outcome = dying.run(Planned("x", "y", seed), tmp_path, 2.0)
    assert (outcome.kind, what in outcome.detail) == ("wrong", True)
    assert dying.run(Planned("x", "y", 0), tmp_path).kind == "accepted"


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    one, again = Planned("x", "y", 3), Planned("x", "y", 3)
    assert one.rng.bytes(9) == again.rng.bytes(9)
    assert one.rng.bytes(9) != Planned("x", "z", 3).rng.bytes(9)


def test_all_kinds_of_a_door_have_their_turn() -> None:
    door = Door("x")
    for name in "abc":
        door.add(name, "why", lambda *_: Case(lambda: 0))
    assert sorted({one.kind for one in door.planned(3, 7)}) == ["a", "b", "c"]
