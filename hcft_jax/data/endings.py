"""Whether a video file ends before its own container says that it does.

Decoders take what there is: a file that was cut between two frames decodes without any error.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from hcft_jax.data import matroska, transport

Found = TypeVar("Found")

_MOST_BOXES = 1_000_000
_BOXES = (  # that may stand alone in a file
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"udta", b"meta"),
    *(b"uuid", b"sidx", b"ssix", b"mfra", b"emsg", b"prft", b"pdin"),
)


def missing(path: Path, container: str) -> str:
    """Return what a file lacks at its end, in words; empty where nothing is known to be missing.

    Args:
        path: The file.
        container: The name of its format as FFmpeg has it.

    Raises:
        OSError: It cannot be read.
    """
    return checked(path, container, _CHECKS) or ""


def checked(
    path: Path, container: str, checks: Mapping[str, Callable[[BinaryIO, int], Found]]
) -> Found | None:
    """Return what the check of a file's format gives; None where there is no such check.

    Args:
        path: The file.
        container: The name of its format as FFmpeg has it.
        checks: By format: takes the open file and its size in bytes.

    Raises:
        OSError: It cannot be read.
    """
    check = checks.get(container)
    if check is None:
        return None
    with path.open("rb") as file:
        return check(file, os.fstat(file.fileno()).st_size)


def _boxes(file: BinaryIO, size: int) -> str:
    """Check the boxes of MP4 and QuickTime."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or head[4:8] not in _BOXES:
            break  # the end, or what somebody appended
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            break
        at += length
        if at > size:
            return _lacks(at - size)
    return ""


def _elements(file: BinaryIO, size: int) -> str:
    """Check the segment of Matroska and WebM."""
    at = 0
    for name in (matroska.EBML, matroska.SEGMENT):
        found = matroska.head(file, at)
        if found is None or found[0] != name or found[2] is None:
            return ""
        at = found[1] + found[2]
    return _lacks(at - size) if at > size else ""


def _chunks(file: BinaryIO, size: int) -> str:
    """Check the chunks of AVI, of which a large file has several."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if not head.startswith(b"RIFF") or length in (0, 0xFFFFFFFF):
            break
        at += 8 + length
        if at > size:
            return _lacks(at - size)
    return ""


def _packets(file: BinaryIO, size: int) -> str:
    """Check that a transport stream ends with a whole packet."""
    length, first = transport.aligned(file.read(transport.HEAD))
    over = (size - first) % length if length else 0
    # what comes before the first mark may be a time that belongs to its packet
    return (
        f"its last packet has {over} of {length} bytes"
        if over not in (0, transport.SIZES[0])
        else ""
    )


def _ends_with(mark: bytes, what: str) -> Callable[[BinaryIO, int], str]:
    def check(file: BinaryIO, size: int) -> str:
        file.seek(max(0, size - 4096))
        return "" if file.read().rstrip(b"\0\r\n").endswith(mark) else f"it has no {what}"

    return check


def _lacks(count: int) -> str:
    return f"its last {count} bytes are missing"


_CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": _boxes,
    "matroska,webm": _elements,
    "avi": _chunks,
    "mpegts": _packets,
    "gif": _ends_with(b";", "end mark"),
    "mjpeg": _ends_with(b"\xff\xd9", "end mark"),
}
