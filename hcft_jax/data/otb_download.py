"""Download the OTB-100 data set, or some of its sequences.

::

    hcft download --output_dir=OTB100
    hcft download --sequences=Deer,Girl --url=https://mirror.example/otb

Each sequence of OTB-100 is a zip file at ``URL/<Name>.zip``; by default URL is the benchmark's
own server. No checksums are published: a file counts as whole when it is a zip archive whose
entries have the checksums in its directory, and as the sequence when its frames and ground truth
fit each other. It is unpacked in a temporary folder (``unpacking``: nothing is written outside of
it) and moved to its place whole. So a complete sequence is never fetched again, and the same
command continues after any interruption.
"""

import contextlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from hcft_jax.data import datasets, unpacking
from hcft_jax.util import download, entry, opening
from hcft_jax.util.errors import InputError, SettingError, StorageError, finish, of_storage
from hcft_jax.util.files import locked
from hcft_jax.util.flag_groups import FlagGroup
from hcft_jax.util.names import key, near

OTB_URL = "http://cvlab.hanyang.ac.kr/tracker_benchmark/seq"
PARTS = ".download"  # below the output folder

# fmt: off
# The videos of OTB-100; Jogging and Skating2 have two targets each.
OTB = (
    "Basketball", "Biker", "Bird1", "Bird2", "BlurBody", "BlurCar1", "BlurCar2", "BlurCar3",
    "BlurCar4", "BlurFace", "BlurOwl", "Board", "Bolt", "Bolt2", "Box", "Boy", "Car1", "Car2",
    "Car24", "Car4", "CarDark", "CarScale", "ClifBar", "Coke", "Couple", "Coupon", "Crossing",
    "Crowds", "Dancer", "Dancer2", "David", "David2", "David3", "Deer", "Diving", "Dog", "Dog1",
    "Doll", "DragonBaby", "Dudek", "FaceOcc1", "FaceOcc2", "Fish", "FleetFace", "Football",
    "Football1", "Freeman1", "Freeman3", "Freeman4", "Girl", "Girl2", "Gym", "Human2", "Human3",
    "Human4", "Human5", "Human6", "Human7", "Human8", "Human9", "Ironman", "Jogging", "Jump",
    "Jumping", "KiteSurf", "Lemming", "Liquor", "Man", "Matrix", "Mhyang", "MotorRolling",
    "MountainBike", "Panda", "RedTeam", "Rubik", "Shaking", "Singer1", "Singer2", "Skater",
    "Skater2", "Skating1", "Skating2", "Skiing", "Soccer", "Subway", "Surfer", "Suv",
    "Sylvester", "Tiger1", "Tiger2", "Toy", "Trans", "Trellis", "Twinnings", "Vase", "Walking",
    "Walking2", "Woman",
)
# fmt: on


def videos(names: Sequence[str]) -> list[str]:
    """Return the videos of some names, also those of targets (``Jogging-1``), or all videos.

    Raises:
        SettingError: A name is unknown; near ones are listed.
    """
    known = {key(name): name for name in OTB}
    wanted = []
    for name in names:
        spelling = key(name)
        if spelling not in known:
            spelling = spelling.rpartition("-")[0]
        if spelling not in known:
            raise SettingError("sequences", f"no {name!r} in OTB-100{near(name, OTB)}")
        wanted.append(known[spelling])
    return list(dict.fromkeys(wanted)) or list(OTB)


def fetch(name: str, folder: Path, base: str = OTB_URL, title: str | None = None) -> bool:
    """Fetch one video of OTB-100 to ``folder/<name>``; return False if it was there already.

    Raises:
        InputError: The download fails, is refused, or is not that sequence. An interrupted
            download is kept, to be resumed.
    """
    place, parts = folder / name, folder / PARTS
    if place.exists() and not parts.exists():
        return False
    archive, unpacked = parts / f"{name}.zip", parts / f"{name}.unpacked"
    lock = parts / f"{name}.sequence.lock"
    check = download.Check(archive.name, "is no whole zip file", unpacking.is_whole)
    url = f"{base.rstrip('/')}/{archive.name}"
    try:
        with locked(lock):
            if place.exists():  # another process was faster, or was killed just then
                _tidy(parts, name, lock)
                return False
            download.download(url, archive, check, description=title or name, most=opening.ARCHIVE)
            shutil.rmtree(unpacked, ignore_errors=True)  # of one that was killed
            try:
                unpacking.unpack(archive, unpacked / "all")
                _find(name, unpacked / "all", url).rename(place)
            except StorageError:  # there may be room the next time
                raise
            except InputError:
                archive.unlink(missing_ok=True)
                raise
            except OSError as error:
                raise of_storage(error, f"{place}: cannot write there") from error
            finally:
                shutil.rmtree(unpacked, ignore_errors=True)
            _tidy(parts, name, lock)
    finally:
        with contextlib.suppress(OSError):
            parts.rmdir()  # unless something is still needed
    return True


def _tidy(parts: Path, name: str, lock: Path) -> None:
    """Remove what is left of a download, but for the lock that the caller holds."""
    for path in parts.glob(f"{name}.*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != lock:
            path.unlink(missing_ok=True)


def _find(name: str, folder: Path, url: str) -> Path:
    """Return the folder of a sequence in an unpacked archive.

    Raises:
        InputError: There is no such folder, or none of its targets can be read.
    """
    root = folder
    if (folder / "img").is_dir():  # packed without its own folder
        root = folder.parent
        folder = folder.rename(root / name)
    targets = [t for t in datasets.find(root, "otb") if key(t.group) == key(name)]
    if not targets:
        raise InputError(f"{url}: no sequence {name} in the archive")
    faults = []
    for target in targets:
        try:
            target.load().frames.read(0)
        except InputError as error:
            faults.append(str(error).replace(str(root), url))
    if len(faults) == len(targets):  # Human4's first target has no ground truth, the second has
        raise InputError(faults[0])
    return targets[0].where.parent


def fetch_all(names: Sequence[str], folder: Path, base: str = OTB_URL) -> list[str]:
    """Fetch videos of OTB-100 one by one; print each failure, and return the names that failed.

    Raises:
        SettingError: A name is unknown.
        StorageError: The disk is full.
    """
    failed = []
    wanted = videos(names)
    for number, name in enumerate(wanted, 1):
        try:
            if not fetch(name, folder, base, f"[{number}/{len(wanted)}] {name}"):
                print(f"{name}: kept, {folder / name} exists", file=sys.stderr)
        except StorageError:
            raise
        except InputError as error:
            failed.append(name)
            print(f"error: {name}: {error}", file=sys.stderr)
    return failed


def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Fetch the videos that the flags name; return the exit status.

    Args:
        argv: The name of the command, and ``otb``, the one data set that there is.
        given: The flags.
    """

    def work() -> int:
        if argv[1:] not in ([], ["otb"]):
            raise InputError(f"{' '.join(argv[1:])[:60]!r}: there is one data set, otb")
        return _fetched(given.sequences or [], Path(given.output_dir), given.url or OTB_URL)

    return finish(work, "interrupted; the same command resumes the download")


def _fetched(names: list[str], folder: Path, url: str) -> int:
    failed = fetch_all(names, folder, url)
    if failed:
        print(f"error: {len(failed)} failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    with contextlib.suppress(InputError):
        print(f"{len(datasets.find(folder, 'otb'))} targets: {folder}")
    return 0


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags."""
    group = FlagGroup(into, "What is downloaded")
    group.many("sequences")
    group.text("output_dir", "OTB100")
    group.text("url", shown=f"{OTB_URL}/<Name>.zip")


if __name__ == "__main__":
    entry.run(main, define_flags)
