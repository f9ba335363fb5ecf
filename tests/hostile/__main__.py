"""Open thousands of hostile inputs and count what becomes of them.

    python -m tests.hostile [--cases=5000] [--seed=0] [--doors=images,videos] [--kinds=cut]
        [--keep=build/hostile] [--again=DOOR/KIND/SEED]

Every case is made from a seed: the same command makes the same cases. Right are a refusal in one
line (``InputError``) that names the file, field or flag, and an answer that equals the sound file's
or another program's. Wrong are all other exceptions, hangs (20 s), more than 2 GiB, the death of
the process, and other answers; their files are kept. The status is 1 if there is any.

The columns: *unchecked* cases were accepted, and there is nothing to compare their answers with;
*undetectable* is damage inside compressed data of formats that have no checksum of it.
"""

import argparse
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from tests.hostile import runner
from tests.hostile.doors import DOORS
from tests.hostile.kinds import Planned


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--cases", type=int, default=5000, help="how many [5000]")
    parser.add_argument("--seed", type=int, default=0, help="where their numbers begin [0]")
    parser.add_argument("--doors", default="", help="some of " + ", ".join(DOORS))
    parser.add_argument("--kinds", default="", help="some kinds only")
    parser.add_argument("--keep", type=Path, default=Path("build/hostile"), help="for wrong cases")
    parser.add_argument("--again", default="", help="a single case: DOOR/KIND/SEED")
    parser.add_argument("--list", action="store_true", help="list the kinds and why they exist")
    given = parser.parse_args()
    if given.list:
        for door in DOORS.values():
            for kind in door.kinds.values():
                print(f"{door.name} / {kind.name}: {kind.why}")
        return 0
    keep = given.keep.absolute()
    if given.again:
        door, _, rest = given.again.partition("/")  # a kind's name may have others
        kind, _, seed = rest.rpartition("/")
        planned = [Planned(door, kind, int(seed))]
    else:
        shutil.rmtree(keep, ignore_errors=True)
        doors = [DOORS[name] for name in given.doors.split(",") if name] or list(DOORS.values())
        planned = [
            one
            for name, count in runner.shared_out(doors, given.cases).items()
            for one in DOORS[name].planned(count, given.seed)
        ]
    if given.kinds:
        planned = [one for one in planned if one.kind in given.kinds.split(",")]
    return report(planned, keep)


def report(planned: list[Planned], keep: Path) -> int:
    """Run the cases, print each wrong one and the table; return the exit status."""
    counts: dict[str, Counter[str]] = {}
    peaks: dict[str, int] = {}
    times: Counter[str] = Counter()
    sizes = Counter(one.door for one in planned)
    wrong = 0
    with runner.Worker() as worker:
        before = time.monotonic()
        for one, outcome in runner.run(planned, worker, keep):
            now = time.monotonic()
            times[one.door] += now - before  # type: ignore[assignment]
            before = now
            result = outcome.outcome if isinstance(outcome, runner.Wrong) else outcome
            counts.setdefault(one.door, Counter())[result.kind] += 1
            peaks[one.door] = max(peaks.get(one.door, 0), result.peak)
            if isinstance(outcome, runner.Wrong):
                wrong += 1
                print(outcome, flush=True)
            elif len(planned) == 1:
                print(f"{result.kind}: {result.detail}")
            if counts[one.door].total() == sizes[one.door]:
                said = ", ".join(f"{n} {kind}" for kind, n in counts[one.door].most_common())
                print(f"{one.door}: {said}", file=sys.stderr, flush=True)
    print(runner.table(counts, peaks, dict(times)))
    print(
        f"{len(planned)} cases of {len({(p.door, p.kind) for p in planned})} kinds, {wrong} wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
