"""Ctrl-C and SIGTERM end a command in order, wherever they hit it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.util import interrupts
from hcft_jax.util.errors import command
from hcft_jax.util.interrupts import Terminated

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_ends_a_command_with_a_line_and_its_status(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    @command("interrupted; all is kept")
    def main(_: list[str]) -> int:
        os.kill(os.getpid(), number)
        raise AssertionError("it went on")

    former = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["program"]) == STATUS[number]
    assert capsys.readouterr().err == "interrupted; all is kept\n"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == former


def test_the_status_is_the_signals_whatever_a_library_makes_of_it() -> None:
    @command()
    def main(_: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None  # as Ray does
        raise AssertionError("it went on")

    assert main(["program"]) == 143


def test_a_signal_that_a_library_swallows_is_seen_by_the_next_check() -> None:
    with interrupts.working():
        interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.answered()
        interrupts.check()
    interrupts.check()


def test_a_second_signal_does_not_break_into_the_tidying_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tidied = []

    def work(second: signal.Signals) -> None:
        with interrupts.working():
            try:
                os.kill(os.getpid(), signal.SIGINT)
            finally:
                os.kill(os.getpid(), second)
                tidied.append(second)

    with pytest.raises(KeyboardInterrupt):
        work(signal.SIGINT)
    assert tidied == [signal.SIGINT]
    monkeypatch.setattr(interrupts, "PATIENCE", 0.0)  # who tidies up for ever is stopped
    with pytest.raises(Terminated):
        work(signal.SIGTERM)
    assert tidied == [signal.SIGINT]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_swallowed_leaves_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    class Library:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    with interrupts.working():
        sys.unraisablehook, hook = sys.unraisablehook, sys.unraisablehook
        Library()
        assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_signals_that_a_library_has_taken_are_taken_back() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with interrupts.working():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
        interrupts.retake()
        with pytest.raises(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
    interrupts.retake()
    assert signal.getsignal(signal.SIGTERM) == former


def test_threads_leave_signals_alone() -> None:
    found = []

    def work() -> None:
        with interrupts.working():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_a_signal_that_is_ignored_stays_so() -> None:
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interrupts.working():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, former)


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_while_modules_are_imported_is_one_line(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "jax.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "hcft_jax.main"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (STATUS[number], "interrupted\n")


def test_importing_the_library_leaves_signals_alone() -> None:
    script = (
        "import signal, hcft_jax; "
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL; "
        "assert signal.getsignal(signal.SIGINT) == signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_signal_does_not_break_into_what_defers_it() -> None:
    done = []

    def work() -> None:
        with interrupts.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("saved")
        done.append("not reached")

    with interrupts.working(), pytest.raises(interrupts.Terminated):
        work()
    assert done == ["saved"]


def test_whoever_insists_ends_what_defers_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "PATIENCE", 0.0)
    done = []

    def work() -> None:
        with interrupts.deferred():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("saving")
            os.kill(os.getpid(), signal.SIGINT)
            done.append("not reached")

    with interrupts.working(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["saving"]


def test_a_signal_that_comes_too_late_breaks_into_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = signal.signal

    def slow(number: signal.Signals, handler: Any) -> Any:
        os.kill(os.getpid(), number)
        return original(number, handler)

    with interrupts.working():
        monkeypatch.setattr(signal, "signal", slow)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
