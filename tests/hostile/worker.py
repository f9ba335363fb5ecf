"""The process that opens hostile inputs, many of them one after the other.

It says in one line of JSON what became of each. It was started anew, not forked: JAX does not
survive that. Whoever watches it ends it when a case takes too long or too much memory.
"""

import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hcft_jax.util.errors import InputError, InputWarning
from tests.hostile.kinds import UNDETECTABLE, Case, Planned

LONGEST = 1000  # characters of a message; commands shorten longer ones
READY, MADE = "ready", "made"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        kind: "refused", "accepted", "unchecked" (accepted, with nothing to compare),
            "undetectable" or "wrong".
        detail: The message of a refusal, or what is wrong.
        peak: Bytes by which the memory grew.
    """

    kind: str
    detail: str = ""
    peak: int = 0


def opened(case: Case, unchecked: bool) -> Outcome:
    """Open a case and judge what happens."""
    strays: list[str] = []  # what other threads raise, which nobody catches
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda given: strays.append(f"thread: {given.exc_value!r}")
    sys.unraisablehook = lambda given: strays.append(f"ignored: {given.exc_value!r}")
    before = _memory("VmRSS")
    _forget_peak()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", InputWarning)
            outcome = _outcome(case, unchecked)
    finally:
        threading.excepthook, sys.unraisablehook = hooks
    if strays and outcome.kind != "wrong":
        outcome = Outcome("wrong", strays[0][:LONGEST])
    return dataclasses.replace(outcome, peak=max(0, _memory("VmHWM") - before))


def _outcome(case: Case, unchecked: bool) -> Outcome:
    refusals: tuple[type[BaseException], ...] = (InputError, *case.refuses)
    try:
        answer = case.open()
    except refusals as error:
        line = str(error)
        if re.search(r"[\r\n]", line) or not line.strip():
            return Outcome("wrong", f"its message is not one line: {line[:200]!r}")
        if case.names and not any(name in line for name in case.names):
            return Outcome("wrong", f"its message names none of {case.names}: {line[:200]!r}")
        return Outcome("refused", line[:LONGEST])
    except BaseException:
        return Outcome("wrong", traceback.format_exc()[-4000:])
    if case.judge is None:
        return Outcome("unchecked")
    try:
        fault = case.judge(answer)
    except BaseException:
        return Outcome("wrong", f"the judge failed: {traceback.format_exc()[-3000:]}")
    if fault == UNDETECTABLE and unchecked:
        return Outcome("undetectable")
    return Outcome("wrong", fault) if fault else Outcome("accepted")


def _memory(what: str) -> int:
    """Return the bytes of memory of this process, or their peak; 0 where that is not known."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) * 1024
    return 0


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def made_and_opened(planned: Planned, folder: Path, made: Callable[[], None]) -> Outcome:
    """Make a case in a folder, call ``made``, and open it."""
    from tests.hostile.doors import DOORS  # here: it imports every room

    door = DOORS[planned.door]
    shutil.rmtree(folder, ignore_errors=True)  # a case that is repeated is made anew
    folder.mkdir(parents=True)
    here = Path.cwd()
    os.chdir(folder)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                case = door.kinds[planned.kind].make(planned.rng, folder)
            except Exception:
                return Outcome("wrong", f"it cannot be made: {traceback.format_exc()[-3000:]}")
            made()
            outcome = opened(case, door.unchecked)
    finally:
        os.chdir(here)
    if "Traceback" in output.getvalue() and outcome.kind != "wrong":
        return Outcome("wrong", f"it prints a traceback: {output.getvalue()[-2000:]}")
    return outcome


def main() -> None:
    """Answer the cases on standard input, one per line, until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    questions = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(nothing, 0)
    from tests.hostile import surroundings

    surroundings.prepare()

    def say(answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    say(READY)
    for line in questions:
        content: dict[str, Any] = json.loads(line)
        folder = Path(content.pop("folder"))
        outcome = made_and_opened(Planned(**content), folder, lambda: say(MADE))
        say(dataclasses.asdict(outcome))


if __name__ == "__main__":
    main()
