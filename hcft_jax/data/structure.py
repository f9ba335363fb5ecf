"""Whether the parts of a video file fit together, which decoders do not require.

A changed size or table entry makes FFmpeg skip frames, or search for the next one, without a word.
Formats without checksums have this instead: the parts of a sound file follow each other without a
gap, and the tables of an MP4 speak of one number of frames.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from hcft_jax.data import endings, matroska, mp4, transport
from hcft_jax.data.faults import MOST, Fault, read_at

_HEADERS = 1 << 20  # bytes of the headers of an AVI, which has five KB
_BESIDE = (b"JUNK", b"junk", b"idx1", b"LIST")  # chunks that may stand among frames
_NO_LENGTH = (0, 0xFFFFFFFF)  # of a list that was not finished


def fault(path: Path, container: str) -> str:
    """Return what does not fit in a file, in words; empty where nothing is known to be wrong.

    Args:
        path: The file.
        container: The name of its format as FFmpeg has it.

    Raises:
        OSError: It cannot be read.
    """
    try:
        endings.checked(path, container, _CHECKS)
    except Fault as found:
        return str(found)
    return ""


def _avi(file: BinaryIO, size: int) -> None:
    """Check that the chunks of the lists of frames fill them, and are of a stream."""
    at, left = 0, [MOST]
    streams: list[bytes] = []
    while at + 12 <= size:
        head = read_at(file, at, 12)
        length = int.from_bytes(head[4:8], "little")
        if not head.startswith(b"RIFF") or length in _NO_LENGTH:
            return
        _list(file, at + 12, min(at + 8 + length, size), left, streams)
        at += 8 + length + length % 2


def _list(
    file: BinaryIO, at: int, end: int, left: list[int], streams: list[bytes], depth: int = 0
) -> None:
    """Check a list; ``streams`` are the kinds of those that were found, and gets more of them."""
    while at + 8 <= end:
        left[0] -= 1
        if left[0] < 0:
            return
        head = read_at(file, at, 12)
        length = int.from_bytes(head[4:8], "little")
        is_list = head.startswith(b"LIST")
        if is_list and length in _NO_LENGTH:
            return
        if not _is_name(head[:4]) or at + 8 + length > end:
            raise Fault(f"the chunk at byte {at} does not fit")
        if depth and not is_list and not _is_of_stream(head[:4], streams):
            raise Fault(f"the chunk at byte {at} is of no stream")
        if is_list and head[8:] in (b"movi", b"rec ") and depth < 3:
            _list(file, at + 12, at + 8 + length, left, streams, depth + 1)
        if is_list and head[8:] == b"hdrl" and not streams:
            streams += _streams(read_at(file, at + 12, min(length - 4, _HEADERS)))
        at += 8 + length
        if length % 2 and (at + 5 > end or not _is_name(read_at(file, at, 4))):
            at += 1  # some programs leave it out


def _streams(headers: bytes) -> list[bytes]:
    """Return the kinds of the streams that an AVI's headers tell of."""
    parts = headers.split(b"LIST")[1:]
    return [part[16:20] for part in parts if part[4:12] == b"strlstrh"]


def _is_of_stream(name: bytes, streams: list[bytes]) -> bool:
    """Say whether a chunk belongs among the frames: ``01wb`` is sound of the second stream."""
    if name in _BESIDE or name[:2] == b"ix" or not streams:
        return True
    number = int(name[:2]) if name[:2].isdigit() else len(streams)
    if number >= len(streams):
        return False
    return streams[number] != b"vids" or name[2:] != b"wb"


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= c < 127 for c in name)


def _gif(file: BinaryIO, size: int) -> None:
    """Check that blocks follow each other up to the end mark."""
    head = read_at(file, 0, 13)
    if len(head) < 13:
        return
    at = 13 + _colours(head[10])
    for _ in range(MOST):
        mark = read_at(file, at, 10)
        if mark[:1] == b";":
            return
        if mark[:1] == b"!":
            at += 2
        elif mark[:1] == b"," and len(mark) == 10:
            at += 11 + _colours(mark[9])
        else:
            raise Fault(f"no block at byte {at}")
        while at < size and (length := read_at(file, at, 1)[0]):
            at += 1 + length
        at += 1


def _colours(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _mjpeg(file: BinaryIO, size: int) -> None:
    if read_at(file, 0, 2) != b"\xff\xd8":
        raise Fault("it does not begin with a picture")


_CHECKS: dict[str, Callable[[BinaryIO, int], None]] = {
    "avi": _avi,
    "gif": _gif,
    "matroska,webm": matroska.check,
    "mjpeg": _mjpeg,
    "mpegts": transport.check,
    "mov,mp4,m4a,3gp,3g2,mj2": mp4.check,
}
