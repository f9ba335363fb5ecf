"""What a user names as a video, or as several: files, folders, patterns and lists of them.

* ImageList are the frames of one video: a folder, ``frames/img_%04d.jpg``, ``frames/*.jpg``, or
  ``a.jpg,b.jpg``.
* Video files are one video each: a folder of them, ``clips/*.mp4``, or ``a.mp4,b.mp4``.
* ``@list.txt`` is what the file lists, one a line, as seen from its own folder; a line that begins
  with ``#`` is a comment. Only the ``@`` makes a list of a file: others open no further files.
"""

import glob
import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hcft_jax.data.frames import SUFFIXES
from hcft_jax.util import text
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists, is_dir
from hcft_jax.util.names import natural

_VIDEOS = (
    "mp4 mov m4v avi mkv webm mpg mpeg m2v ts mts m2ts wmv asf flv 3gp 3g2 ogv vob mxf nut dv gif "
    "apng mjpeg mjpg y4m ivf h264 264 h265 265 hevc av1 obu vc1 rm rmvb wtv"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in _VIDEOS.split())
"""The endings by which a file of a folder or pattern is taken for a video."""

_NUMBER = re.compile(r"%(0?)([0-9]{0,2})d")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class ImageList:
    """ImageList that are the frames of one video.

    Attributes:
        given: What they were called.
        name: A short name, fit for a file name.
        paths: The files, in their order.
    """

    given: str
    name: str
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        return self.given


Source = str | ImageList
"""One video: a path, a camera's number or an address; or pictures."""


def path_of(source: str) -> Path:
    """Return the path that a source is, where it is one; ``file://`` and ``~`` lead to one, too.

    Args:
        source: As a user names it.
    """
    if source.lower().startswith("file://"):
        return Path(url2pathname(urlsplit(source).path))
    return Path(os.path.expanduser(source))


def find(named: str | os.PathLike[str] | int) -> list[Source]:
    """Return the videos that a text names, in their order; at least one.

    A path that exists goes before a camera whose number is its name, and before a pattern or list.

    Args:
        named: The text. A number is a camera.

    Raises:
        InputError: There is no such file, folder or camera; or a pattern or list has no file, or
            both pictures and videos.
    """
    given = str(named)
    path = path_of(given)
    if isinstance(named, int):
        return [given]
    if exists(path):
        return _in_folder(path) if is_dir(path) else [str(path)]
    if given.isdecimal() or "://" in given:
        return [given]
    if given.startswith("@"):
        return _listed(path_of(given[1:]))
    if _NUMBER.search(path.name):
        return [_numbered(given, path)]
    if _WILD.search(given):
        # a folder's own name may have what means something in a pattern
        return of_files(given, path.parent.name or path.stem, _matching(given, str(path)))
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if len(parts) > 1:
        return of_files(given, path_of(parts[0]).stem, [path_of(part) for part in parts])
    raise InputError(f"{given}: no such file, folder or camera")


def of_files(given: str, name: str, paths: Iterable[Path]) -> list[Source]:
    """Return pictures as one video, and each video file as one.

    Args:
        given: What messages call them.
        name: A short name for pictures.
        paths: The files, in their order; a folder is a video, or several.

    Raises:
        InputError: One does not exist, there is none, or there are pictures and videos.
    """
    pictures, videos = list[Path](), list[Source]()
    for path in paths:
        if not exists(path):
            raise InputError(f"{given}: no such file as {path}")
        if is_dir(path):
            videos += _in_folder(path)
        elif path.suffix.lower() in SUFFIXES:
            pictures.append(path)
        else:
            videos.append(str(path))
    if pictures and videos:
        raise InputError(f"{given}: both {pictures[0]} and {videos[0]}; name pictures or videos")
    return videos or [ImageList(given, name, tuple(pictures))]


def _in_folder(folder: Path) -> list[Source]:
    """Return a folder's pictures as one video; without any, its video files."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot list it ({error.strerror or error})") from error
    paths.sort(key=lambda path: natural(path.name))
    if pictures := [path for path in paths if path.suffix.lower() in SUFFIXES]:
        return [ImageList(str(folder), folder.resolve().name, tuple(pictures))]
    if videos := [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]:
        return [str(path) for path in videos]
    inside = [path for path in (folder / "img",) if is_dir(path)]
    hint = f"; its images may be in {inside[0]}" if inside else ""
    raise InputError(f"{folder}: no image in it ({', '.join(SUFFIXES)}), and no video{hint}")


def _listed(path: Path) -> list[Source]:
    """Return what a list of files names."""
    paths = []
    for number, line in enumerate(text.lines(path), 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            found = path.parent / path_of(entry)
            if not exists(found):
                raise InputError(
                    f"{path}, line {number}: no such file as {text.shown(entry)} (a list names "
                    "pictures or videos, one a line)"
                )
            paths.append(found)
    if not paths:
        raise InputError(f"{path}: lists no file")
    return of_files(str(path), path.stem, paths)


def _numbered(given: str, path: Path) -> ImageList:
    """Return the pictures of a pattern as FFmpeg and C have it: ``img_%04d.jpg``."""
    parts = _NUMBER.split(path.name)
    if len(parts) != 4:
        raise InputError(f"{given}: more than one %d")
    before, zeros, width, after = parts
    digits = f"[0-9]{{{int(width)},}}" if zeros and width else "[0-9]+"
    name = re.compile(f"{re.escape(before)}({digits}){re.escape(after)}")
    try:
        inside = list(path.parent.iterdir())
    except OSError as error:
        raise InputError(f"{given}: cannot list the folder ({error.strerror or error})") from error
    found = sorted((int(match[1]), p) for p in inside if (match := name.fullmatch(p.name)))
    if not found:
        raise InputError(f"{given}: no such file in {path.parent}")
    numbers = [number for number, _ in found]
    gap = next((a + 1 for a, b in itertools.pairwise(numbers) if b != a + 1), None)
    if gap is not None:
        raise InputError(
            f"{given}: number {gap} is missing; to leave it out, name them as "
            f"{path.with_name(f'{before}*{after}')}"
        )
    return ImageList(given, path.parent.resolve().name, tuple(p for _, p in found))


def _matching(given: str, pattern: str) -> list[Path]:
    found = sorted((Path(name) for name in glob.glob(pattern)), key=lambda p: natural(str(p)))
    known = [p for p in found if is_dir(p) or p.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES)]
    if not known:
        others = f" ({len(found)} files that are neither pictures nor videos)" if found else ""
        raise InputError(f"{given}: no picture or video matches{others}")
    return known
