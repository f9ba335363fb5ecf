from typing import Any

import pytest

from hcft_jax.benchmark.progress import Line, Meter, Runs


class Work:
    def __init__(self, frames: int) -> None:
        self.frames, self.title = frames, f"run of {frames}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def meter(clock: Clock, *frames: int) -> tuple[Meter, list[Any]]:
    tasks: list[Any] = [Work(f) for f in frames]
    return Meter(tasks, clock), tasks


def test_the_time_left_is_that_of_the_remaining_frames_at_the_measured_rate(clock: Clock) -> None:
    of, (long, short) = meter(clock, 900, 100)
    assert str(of).endswith("? left")
    of.begin(long)
    clock.now = 10.0
    of.advance(long, 200)
    assert of.rate == 20.0
    assert of.left == 800 / 20  # not half of the runs
    of.advance(long, 700)
    of.end(long)
    clock.now = 30.0
    assert of.left == 100 / 30
    of.begin(short)
    of.advance(short, 100)
    of.end(short)
    assert of.left == 0.0
    assert (of.done, of.failed, of.running) == (2, 0, {})


def test_what_was_not_tracked_is_no_part_of_the_rate(clock: Clock) -> None:
    of, (tracked, copied, failed, skipped, last) = meter(clock, 100, 500, 300, 300, 50)
    clock.now = 10.0
    of.begin(tracked)
    of.advance(tracked, 100)
    of.end(tracked)
    of.begin(copied)
    of.end(copied)
    of.begin(failed)
    of.advance(failed, 100)
    of.end(failed, failed=True)
    of.end(skipped, failed=True)
    assert of.rate == 20.0
    assert of.remaining == last.frames
    assert of.left == 2.5
    assert (of.done, of.failed) == (2, 2)


def test_a_run_that_has_to_be_repeated_counts_again(clock: Clock) -> None:
    of, (task,) = meter(clock, 100)
    of.begin(task)
    of.advance(task, 60)
    of.back(task)
    clock.now = 10.0
    assert (of.remaining, of.left, of.running) == (100, None, {})
    of.begin(task)
    of.advance(task, 50)
    assert of.left == 10.0


def test_the_line_says_it_all(clock: Clock) -> None:
    of, (one, _) = meter(clock, 7200, 36)
    of.begin(one)
    clock.now = 2.0
    of.advance(one, 2)
    assert str(of) == "0/2 done, 1 running, 0 failed, 1.0 frames/s, 2:00:34 left"


def test_a_line_counts_what_happens_in_it(capfd: pytest.CaptureFixture[str]) -> None:
    tasks: list[Any] = [Work(10), Work(10), Work(10)]
    with Line("sweep", tasks) as line:
        line.begin(tasks[0])
        line.advance(tasks[0], 10)
        line.end(tasks[0])
        line.begin(tasks[1])
        line.end(tasks[1], failed=True)
        line.skip(tasks[2])
    last = capfd.readouterr().err.split("\r")[-1]
    assert last.startswith("100%")
    assert "sweep: 1/3 done, 0 running, 2 failed" in last


def test_bars_are_numbered_and_only_for_what_is_tracked(capfd: pytest.CaptureFixture[str]) -> None:
    tasks: list[Any] = [Work(3), Work(4), Work(5)]
    with Runs(tasks) as runs:
        runs.begin(tasks[0])
        runs.end(tasks[0])  # copied
        runs.skip(tasks[1])
        runs.begin(tasks[2])
        runs.advance(tasks[2], 0)
        runs.advance(tasks[2], 5)
    err = capfd.readouterr().err
    assert "[1/3]" not in err
    assert "[3/3] run of 5: 100%" in err
