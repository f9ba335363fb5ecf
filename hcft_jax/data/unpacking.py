"""Unpacks untrusted zip archives: never outside of the folder, and never more than expected.

An archive is refused as a whole if a name leads out of the folder, is none that every system can
have, or belongs to two entries on some system, which ignores case or how accents are composed; if
it has links, devices or encrypted entries, or too many files, too many bytes, or too high a
compression.
"""

import lzma
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError, of_storage

_BLOCK = 1 << 20
# what Windows takes for devices, whatever the suffix
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?"
)
_LONGEST = 240  # bytes of a part of a name
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)


@dataclass(frozen=True)
class Limits:
    """The limits of what an archive may unpack to."""

    files: int = 50_000
    size: int = 8 << 30  # bytes in all
    ratio: float = 100.0  # of an entry's size unpacked to that packed; JPEG files have about 1


def is_whole(path: Path) -> bool:
    """Tell whether a file is a zip archive with its directory, which is at the end."""
    try:
        with opening.zipped(path, opening.ARCHIVE) as archive:
            return bool(archive.infolist())
    except (*_DAMAGE, ValueError):  # InputError, too: no file, or too large
        return False


def unpack(path: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpack the regular files of an archive below a new folder and compare their checksums.

    Files that operating systems add (``__MACOSX``, ``.DS_Store``, ``Thumbs.db``) are left out.

    Args:
        path: The archive.
        folder: Is made; after an error its content is useless.
        limits: The default limits if None.

    Raises:
        InputError: The archive is damaged or refused; the message names the entry.
    """
    try:
        with opening.zipped(path, opening.ARCHIVE) as archive:
            entries = list(_accepted(path, archive, limits or Limits()))
            for info, name in entries:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("xb") as file:
                    # never more than info.file_size, whatever the data contain
                    while block := source.read(_BLOCK):
                        file.write(block)
    except FileExistsError as error:
        raise InputError(f"{path}: two entries are {error.filename}") from error
    except InputError:
        raise
    except (*_DAMAGE, ValueError, RuntimeError) as error:
        raise of_storage(error, f"{path}: cannot be unpacked") from error


def _accepted(
    path: Path, archive: zipfile.ZipFile, limits: Limits
) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    infos = archive.infolist()
    if len(infos) > limits.files:
        raise InputError(f"{path}: {len(infos)} files are too many, at most {limits.files}")
    if (total := sum(info.file_size for info in infos)) > limits.size:
        raise InputError(f"{path}: would unpack to {total} bytes, at most {limits.size}")
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}  # spellings, also of the folders
    files: set[tuple[str, ...]] = set()
    for info in infos:
        name = _safe(path, info)
        if info.is_dir() or _is_clutter(name):
            continue
        if info.flag_bits & 0x1:
            raise InputError(f"{path}: {info.filename!r} is encrypted")
        if info.file_size > limits.ratio * max(info.compress_size, 1) + _BLOCK:
            raise InputError(
                f"{path}: {info.filename!r} would unpack to {info.file_size} bytes from "
                f"{info.compress_size}, too many for a picture"
            )
        key = tuple(unicodedata.normalize("NFKC", part).casefold() for part in name.parts)
        for end in range(1, len(key) + 1):
            spelling = seen.setdefault(key[:end], name.parts[:end])
            if spelling != name.parts[:end] or key[:end] in files:
                raise InputError(f"{path}: two entries are {info.filename!r} on some systems")
        files.add(key)
        yield info, name


def _safe(path: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    """Return the entry's name as a path that stays below the folder."""
    # zipfile cuts orig_filename at a zero byte, so that filename may hide a part of it
    text = info.orig_filename
    name = PurePosixPath(text)
    escapes = name.is_absolute() or ".." in name.parts or not name.parts
    odd = any(unicodedata.category(c) in ("Cc", "Cs") for c in text)
    if escapes or odd or any(c in text for c in '\\:"*?<>|'):
        raise InputError(f"{path}: refused, {text[:80]!r} is no path inside of it")
    for part in name.parts:
        # Windows drops blanks and dots at the end, so that the name would be another one's
        device = _DEVICES.fullmatch(part.casefold())
        if device or part != part.rstrip().rstrip(".") or len(os.fsencode(part)) > _LONGEST:
            raise InputError(f"{path}: refused, {text[:80]!r} is no name on every system")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{path}: refused, {text[:80]!r} is a link or a device")
    return name


def _is_clutter(name: PurePosixPath) -> bool:
    added = name.name in (".DS_Store", "Thumbs.db", "desktop.ini")
    return added or name.parts[0] == "__MACOSX" or name.name.startswith("._")
