"""Zip archives of strangers: nothing is written outside of the folder, and not more than expected.

Refused as a whole: names that lead out of the folder or that two entries share, links and devices,
encrypted entries, and archives of too many files, too many bytes, or bytes that come of too few.
"""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hcft_jax.util.errors import InputError

_BLOCK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)


@dataclass(frozen=True)
class Limits:
    """Of what an archive may unpack to."""

    files: int = 50_000
    size: int = 8 << 30  # bytes in all
    ratio: float = 100.0  # of an entry's bytes to those in the archive; JPEG files have about 1


def is_whole(path: Path) -> bool:
    """Whether a file is a zip archive with its directory, which is at the end."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.infolist())
    except (*_DAMAGE, ValueError):
        return False


def unpack(path: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpacks the regular files of an archive below a new folder; their checksums are compared.

    What operating systems add (``__MACOSX``, ``.DS_Store``, ``Thumbs.db``) is left out.

    Args:
        path: The archive.
        folder: Is made; what is there after an error is of no use.
        limits: The default ones if None.

    Raises:
        InputError: the archive is damaged or refused; the message names the entry.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = list(_accepted(path, archive, limits or Limits()))
            for info, name in entries:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("xb") as file:
                    # never more than info.file_size, whatever the data would unpack to
                    while block := source.read(_BLOCK):
                        file.write(block)
    except FileExistsError as error:
        raise InputError(f"{path}: two entries are {error.filename}") from error
    except InputError:
        raise
    except (*_DAMAGE, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be unpacked ({error})") from error


def _accepted(
    path: Path, archive: zipfile.ZipFile, limits: Limits
) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    infos = archive.infolist()
    if len(infos) > limits.files:
        raise InputError(f"{path}: {len(infos)} files are too many, at most {limits.files}")
    if (total := sum(info.file_size for info in infos)) > limits.size:
        raise InputError(f"{path}: would unpack to {total} bytes, at most {limits.size}")
    seen: set[str] = set()
    for info in infos:
        name = _safe(path, info)
        if info.is_dir() or _is_clutter(name):
            continue
        if info.flag_bits & 0x1:
            raise InputError(f"{path}: {info.filename!r} is encrypted")
        if info.file_size > limits.ratio * max(info.compress_size, 1) + _BLOCK:
            raise InputError(
                f"{path}: {info.filename!r} would unpack to {info.file_size} bytes from "
                f"{info.compress_size}: not what a picture does"
            )
        if (key := str(name).lower()) in seen:  # there are file systems without case
            raise InputError(f"{path}: two entries are {info.filename!r}")
        seen.add(key)
        yield info, name


def _safe(path: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    """The entry's name as a path that stays below the folder."""
    # zipfile ends orig_filename at a zero byte in filename: what is shown is not what is meant
    text = info.orig_filename
    name = PurePosixPath(text)
    escapes = name.is_absolute() or ".." in name.parts or not name.parts
    if escapes or any(c in text for c in '\\:"*?<>|') or any(ord(c) < 32 for c in text):
        raise InputError(f"{path}: refused, {text[:80]!r} is no path inside of it")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{path}: refused, {text[:80]!r} is a link or a device")
    return name


def _is_clutter(name: PurePosixPath) -> bool:
    return (
        name.parts[0] == "__MACOSX"
        or name.name.startswith("._")
        or name.name
        in (
            ".DS_Store",
            "Thumbs.db",
            "desktop.ini",
        )
    )
