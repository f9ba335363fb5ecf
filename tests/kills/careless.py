"""A command that does wrong what ``tests.kills`` looks for: ``--how=`` says which."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

COUNT = 4
PAUSE = 0.02  # seconds for a file


def main() -> int:
    """Write some results; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--how")
    parser.add_argument("--output_dir")
    given = parser.parse_args()
    folder = Path(given.output_dir) / "material"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        path = folder / f"{number}.json"
        if path.exists() and given.how != "again":
            continue
        text = json.dumps({"number": number, "seconds": time.time()})
        named = os.getpid() if given.how == "left over" else number
        temporary = path if given.how == "in place" else path.with_name(f".{named}.tmp.json")
        with temporary.open("w") as file:
            for part in (text[:5], text[5:]):
                file.write(part)
                file.flush()
                time.sleep(PAUSE)
        temporary.replace(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
