"""What is in the folder of a data set but belongs to no sequence that is read.

A folder that was unpacked once too deep (``Deer/Deer/img``), a list that lacks a name: the sequence
would be missing from the table without a word.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from hcft_jax.data.frames import SUFFIXES
from hcft_jax.data.layout import Dataset, ListedTarget, is_foreign

_DEPTH = 3  # folders below one that holds no sequence
_SHOWN = 20  # lines
_TRUTH = re.compile(r"(groundtruth.*|box)\.txt", re.IGNORECASE)
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".rar", ".7z")
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_BESIDE = ("depth", "ir")  # other channels of VOT's frames
_OURS = "summary.json"  # in a folder of results, which may lie here


def lines(root: Path, dataset: Dataset, targets: Collection[ListedTarget]) -> list[str]:
    """Return a line for each folder or file that seems to be data but is not read.

    Args:
        root: The folder of the data set.
        dataset: Its layout. Where several versions share a folder (``Dataset.shared``), what one
            does not read is the other's, and there are no lines.
        targets: All its targets.
    """
    if dataset.shared:
        return []
    looked = _Looked(root, {t.where for t in targets}, {t.frames for t in targets})
    found = [f"{place}; {dataset.layout}" for place in looked.unread(root)]
    more = len(found) - _SHOWN
    return found[:_SHOWN] + ([f"{root}: {more} more are not read"] if more > 0 else [])


class _Looked:
    def __init__(self, root: Path, truths: set[Path], frames: set[Path]):
        self._root = root
        self._truths, self._frames = ({p.resolve() for p in paths} for paths in (truths, frames))
        used = self._truths | self._frames
        self._above = {parent for path in used for parent in (path, *path.parents)}
        self._seen: set[Path] = set()  # a link may lead back

    def unread(self, folder: Path) -> Iterator[str]:
        """Yield what is not read in a folder that has something to read."""
        files, folders = _entries(folder)
        self._seen.add(folder.resolve())
        at_top = folder == self._root
        for path in files:
            odd = _TRUTH.fullmatch(path.name) and path.resolve() not in self._truths
            if odd or (at_top and path.suffix.lower() in (*_PACKED, *_VIDEOS)):
                yield f"{path}: not read"
        for path in folders:
            place = path.resolve()
            beside = path.name in _BESIDE and place.with_name("color") in self._frames
            if place in self._frames | self._seen or beside:
                continue
            if place in self._above:
                yield from self.unread(path)
            elif (data := _data(path)) is not None:
                yield f"{path}: no sequence is read there, though there is {data}"


def _data(folder: Path, depth: int = _DEPTH) -> Path | None:
    """Return a file below a folder that seems to be a frame or a ground truth."""
    files, folders = _entries(folder)
    if any(path.name == _OURS for path in files):
        return None
    for path in files:
        if path.suffix.lower() in SUFFIXES or _TRUTH.fullmatch(path.name):
            return path
    below = (_data(path, depth - 1) for path in folders) if depth else iter(())
    return next((path for path in below if path is not None), None)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders in a folder, in order; none where it cannot be listed."""
    files: list[Path] = []
    folders: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_foreign(entry.name):
                    (folders if entry.is_dir() else files).append(folder / entry.name)
    except OSError:
        return [], []
    return sorted(files), sorted(folders)
