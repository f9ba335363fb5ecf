"""Whether the parts of a video file fit together, which decoders do not require.

A changed size or table entry makes FFmpeg skip frames, or search for the next one, without a word.
Formats without checksums have this instead: the parts of a sound file follow each other without a
gap, and the tables of an MP4 speak of one number of frames.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hcft_jax.data import endings

_MOST = 2_000_000  # parts of a file; 12 hours of video and sound have as many
_TABLES = 256 << 20  # bytes of the tables of an MP4, of which an hour has one MB
_HEADERS = 1 << 20  # bytes of the headers of an AVI, which has five KB
_BESIDE = (b"JUNK", b"junk", b"idx1", b"LIST")  # chunks that may stand among frames
_PACKETS_AT_ONCE = 1 << 13
# names of elements of Matroska
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_CLUSTER = b"\x1f\x43\xb6\x75"
_FILLING = (b"\xec", b"\xbf")  # nothing, and checksums
_OF_SEGMENT = (  # places, about it, streams, index, files, chapters, tags
    *(b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
    *(b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67", _CLUSTER),
)
_OF_CLUSTER = (b"\xe7", b"\xa3", b"\xa0", b"\xa7", b"\xab", b"\xaf", b"\x58\x54")
_NO_LENGTH = (0, 0xFFFFFFFF)  # of a list that was not finished


class _Fault(Exception):
    """What does not fit, in words."""


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
    except _Fault as found:
        return str(found)
    return ""


def _at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _packets(file: BinaryIO, size: int) -> None:
    """Check that packets of a transport stream follow each other: zeros are skipped."""
    length, at = endings.aligned(_at(file, 0, endings.HEAD))
    if not length:
        return
    file.seek(at)
    while content := file.read(length * _PACKETS_AT_ONCE):
        wrong = np.flatnonzero(np.frombuffer(content, np.uint8)[::length] != 0x47)
        if len(wrong):
            raise _Fault(f"no packet at byte {at + length * int(wrong[0])}")
        at += len(content)


def _avi(file: BinaryIO, size: int) -> None:
    """Check that the chunks of the lists of frames fill them, and are of a stream."""
    at, left = 0, [_MOST]
    streams: list[bytes] = []
    while at + 12 <= size:
        head = _at(file, at, 12)
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
        head = _at(file, at, 12)
        length = int.from_bytes(head[4:8], "little")
        is_list = head.startswith(b"LIST")
        if is_list and length in _NO_LENGTH:
            return
        if not _is_name(head[:4]) or at + 8 + length > end:
            raise _Fault(f"the chunk at byte {at} does not fit")
        if depth and not is_list and not _is_of_stream(head[:4], streams):
            raise _Fault(f"the chunk at byte {at} is of no stream")
        if is_list and head[8:] in (b"movi", b"rec ") and depth < 3:
            _list(file, at + 12, at + 8 + length, left, streams, depth + 1)
        if is_list and head[8:] == b"hdrl" and not streams:
            streams += _streams(_at(file, at + 12, min(length - 4, _HEADERS)))
        at += 8 + length
        if length % 2 and (at + 5 > end or not _is_name(_at(file, at, 4))):
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


def _matroska(file: BinaryIO, size: int) -> None:
    """Check that the elements of the segment, and those of its clusters, follow each other."""
    at, end, left = 0, size, [_MOST]
    while found := _element(file, at, end):
        name, first, last = found
        if name == _SEGMENT:
            _elements(file, first, last, left)
        elif name not in (_EBML, *_FILLING):
            return  # what somebody has appended
        at = last


def _elements(file: BinaryIO, at: int, end: int, left: list[int]) -> None:
    within: tuple[bytes, ...] = ()
    while at < end and left[0]:
        left[0] -= 1
        found = _element(file, at, end)
        if not found or found[0] not in (*_OF_SEGMENT, *_FILLING, *within):
            raise _Fault(f"no element at byte {at}")
        name, first, last = found
        if name in _OF_SEGMENT:  # also where a cluster did not tell its size
            within = _OF_CLUSTER if name == _CLUSTER else ()
        at = first if name == _CLUSTER else last


def _element(file: BinaryIO, at: int, end: int) -> tuple[bytes, int, int] | None:
    """Return the name of an EBML element, and where its content begins and ends.

    None where there is none. One of unknown size ends where everything does.
    """
    head = _at(file, at, 12)
    if len(head) < 2 or not head[0]:
        return None
    named = 9 - head[0].bit_length()
    sized = 9 - head[named].bit_length() if named < len(head) else 0
    if not 1 <= named <= 4 or not 1 <= sized <= 8 or len(head) < named + sized:
        return None
    unknown = (1 << 7 * sized) - 1
    length = int.from_bytes(head[named : named + sized], "big") & unknown
    first = at + named + sized
    last = end if length == unknown else first + length
    return (head[:named], first, last) if last <= end else None


def _gif(file: BinaryIO, size: int) -> None:
    """Check that blocks follow each other up to the end mark."""
    head = _at(file, 0, 13)
    if len(head) < 13:
        return
    at = 13 + _colours(head[10])
    for _ in range(_MOST):
        mark = _at(file, at, 10)
        if mark[:1] == b";":
            return
        if mark[:1] == b"!":
            at += 2
        elif mark[:1] == b"," and len(mark) == 10:
            at += 11 + _colours(mark[9])
        else:
            raise _Fault(f"no block at byte {at}")
        while at < size and (length := _at(file, at, 1)[0]):
            at += 1 + length
        at += 1


def _colours(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _mjpeg(file: BinaryIO, size: int) -> None:
    if _at(file, 0, 2) != b"\xff\xd8":
        raise _Fault("it does not begin with a picture")


def _mp4(file: BinaryIO, size: int) -> None:
    """Check the order of boxes, and that the tables of pictures speak of one number of frames."""
    at, moov = 0, (0, 0)
    for kind, start, end in _boxes(file, 0, size):
        moov = (start, end) if kind == b"moov" else moov
        at = end
    rest = _at(file, at, 1 << 16)  # nothing, or what somebody has appended
    for kind in (b"moov", b"moof", b"mdat", b"mfra"):
        found = rest.find(kind)
        start = at + found - 4
        length = int.from_bytes(rest[max(found - 4, 0) : found], "big")
        if found >= 4 and length >= 8 and start + length <= size:
            raise _Fault(f"the part '{kind.decode()}' at byte {start} is out of place")
    if moov[1] - moov[0] > _TABLES:
        return
    for kind, start, end in _boxes(file, *moov):
        if kind == b"trak":
            _track(file, start, end, size)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes at a place: kind, and where the content begins and ends."""
    for _ in range(_MOST):
        head = _at(file, at, 16)
        if at + 8 > end or len(head) < 8:
            return
        length, first = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, first = int.from_bytes(head[8:16], "big"), 16
        if length == 0:  # to the end
            length = end - at
        if length < first or at + length > end or not _is_kind(head[4:8]):
            return
        yield head[4:8], at + first, at + length
        at += length


def _is_kind(kind: bytes) -> bool:
    return all(32 <= c < 127 or c == 0xA9 for c in kind)


def _inside(file: BinaryIO, place: tuple[int, int], *names: bytes) -> tuple[int, int] | None:
    """Return where the content of a box is that is inside of others."""
    for name in names:
        found = (place for kind, *place in _boxes(file, *place) if kind == name)
        inner = next(found, None)
        if inner is None:
            return None
        place = inner[0], inner[1]
    return place


def _track(file: BinaryIO, start: int, end: int, size: int) -> None:
    media = _inside(file, (start, end), b"mdia")
    handler = media and _inside(file, media, b"hdlr")
    tables = media and _inside(file, media, b"minf", b"stbl")
    if not handler or not tables or _at(file, handler[0] + 8, 4) != b"vide":
        return
    named = {kind: (first, last) for kind, first, last in _boxes(file, *tables)}
    counts = {}
    if b"stsz" in named:
        counts["sizes"] = _number(file, named[b"stsz"], 8)
    for kind, what in ((b"stts", "times"), (b"ctts", "orders")):
        if kind in named:
            counts[what] = int(_entries(file, named[kind], 2)[:, 0].sum())
    offsets = named.get(b"stco") or named.get(b"co64")
    if b"stsc" in named and offsets is not None:
        chunks = _number(file, offsets, 4)
        runs = _entries(file, named[b"stsc"], 3)
        firsts = np.append(runs[:, 0], chunks + 1)
        if len(runs) and ((np.diff(firsts) < 0).any() or firsts[0] != 1):
            raise _Fault("the table of its chunks is out of order")
        counts["places"] = int((np.diff(firsts) * runs[:, 1]).sum())
        if b"stsz" in named and chunks and len(set(counts.values())) == 1:
            first = np.append(0, np.cumsum(np.repeat(runs[:, 1], np.diff(firsts)))[:-1])
            wide = 8 if offsets == named.get(b"co64") else 4
            starts = _entries(file, offsets, 1, wide)[:, 0]
            _chunks_fit(file, size, named[b"stsz"], starts, first)
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        raise _Fault(f"its tables contradict each other: {said} of frames")


def _chunks_fit(
    file: BinaryIO,
    size: int,
    table: tuple[int, int],
    starts: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
) -> None:
    """Check that no chunk of frames reaches into the next one, or beyond the file.

    Args:
        file: The file.
        size: Its bytes.
        table: The place of the table of the frames' sizes.
        starts: Where each chunk begins.
        first: The number of the first frame of each chunk.
    """
    same, count = _number(file, table, 4), _number(file, table, 8)
    if not count:
        return
    sizes = np.full(count, same) if same else _entries(file, (table[0] + 4, table[1]), 1)[:, 0]
    ends = starts + np.add.reduceat(sizes, first)
    order = np.argsort(starts)
    limits = np.append(starts[order][1:], size)
    wrong = np.flatnonzero(ends[order] > limits)
    if len(wrong):
        raise _Fault(f"the frames at byte {starts[order][wrong[0]]} are larger than their place")


def _number(file: BinaryIO, place: tuple[int, int], at: int) -> int:
    return int.from_bytes(_at(file, place[0] + at, 4), "big")


def _entries(
    file: BinaryIO, place: tuple[int, int], columns: int, wide: int = 4
) -> npt.NDArray[np.int64]:
    """Return the rows of a table of whole numbers of so many bytes."""
    count, start = _number(file, place, 4), place[0] + 8
    if start + wide * columns * count > place[1]:
        raise _Fault(f"the table at byte {place[0]} is longer than its place")
    content = _at(file, start, wide * columns * count)
    return np.frombuffer(content, f">u{wide}").astype(np.int64).reshape(-1, columns)


_CHECKS: dict[str, Callable[[BinaryIO, int], None]] = {
    "avi": _avi,
    "gif": _gif,
    "matroska,webm": _matroska,
    "mjpeg": _mjpeg,
    "mpegts": _packets,
    "mov,mp4,m4a,3gp,3g2,mj2": _mp4,
}
