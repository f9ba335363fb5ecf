"""Whether the elements of a Matroska or WebM file follow each other and have their checksums."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from hcft_jax.data.faults import MOST, Fault, read_at

# names of elements of Matroska
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_CLUSTER = b"\x1f\x43\xb6\x75"
_TRACKS, _TRACK, _TRACK_NUMBER = b"\x16\x54\xae\x6b", b"\xae", b"\xd7"
_BLOCK, _GROUP, _BLOCK_OF_GROUP = b"\xa3", b"\xa0", b"\xa1"
_CHECKSUM = b"\xbf\x84"  # and its size
_BLOCK_SIZE = 1 << 20  # bytes that are read at once
_FILLING = (b"\xec", b"\xbf")  # nothing, and checksums
_OF_SEGMENT = (  # places, about it, streams, index, files, chapters, tags
    *(b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", _TRACKS, b"\x1c\x53\xbb\x6b"),
    *(b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67", _CLUSTER),
)
_OF_CLUSTER = (b"\xe7", _BLOCK, _GROUP, b"\xa7", b"\xab", b"\xaf", b"\x58\x54")


def check(file: BinaryIO, size: int) -> None:
    """Check that the elements of the segment, and those of its clusters, follow each other.

    Args:
        file: The open file.
        size: Its bytes.

    Raises:
        Fault: They do not, or a block is of no track, or a checksum is wrong.
        OSError: It cannot be read.
    """
    at, end, left = 0, size, [MOST]
    while found := _element(file, at, end):
        name, first, last = found
        if name == SEGMENT:
            _elements(file, first, last, left)
        elif name not in (EBML, *_FILLING):
            return  # what somebody has appended
        at = last


def _elements(file: BinaryIO, at: int, end: int, left: list[int]) -> None:
    within: tuple[bytes, ...] = ()
    tracks: set[int] = set()
    while at < end and left[0]:
        left[0] -= 1
        found = _element(file, at, end)
        if not found or found[0] not in (*_OF_SEGMENT, *_FILLING, *within):
            raise Fault(f"no element at byte {at}")
        name, first, last = found
        if name in (_TRACKS, _CLUSTER) and last < end and not _sound(file, first, last):
            raise Fault(f"a wrong checksum of the element at byte {at}")
        if name == _TRACKS:
            tracks |= set(_numbers_of_tracks(file, first, last))
        block = name == _BLOCK
        if name == _GROUP:
            inner = _children(file, first, last)
            first, block = next(
                ((a, True) for n, a, _ in inner if n == _BLOCK_OF_GROUP), (first, False)
            )
        if block and tracks and _track_of(read_at(file, first, 8)) not in tracks:
            raise Fault(f"the block at byte {at} is of no track")
        if name in _OF_SEGMENT:  # also where a cluster did not tell its size
            within = _OF_CLUSTER if name == _CLUSTER else ()
        at = first if name == _CLUSTER else last


def _sound(file: BinaryIO, first: int, last: int) -> bool:
    """Compare an element's content with its checksum, which not all programs write."""
    checksum = read_at(file, first, 6)
    if not checksum.startswith(_CHECKSUM):
        return True
    left, found = last - first - len(checksum), 0
    while left > 0 and (content := file.read(min(left, _BLOCK_SIZE))):
        found, left = zlib.crc32(content, found), left - len(content)
    return found == int.from_bytes(checksum[2:], "little")


def _track_of(block: bytes) -> int:
    """Return the number with which a block begins; -1 where it does not."""
    if not block or not block[0]:
        return -1
    wide = 9 - block[0].bit_length()
    return int.from_bytes(block[:wide], "big") & ((1 << 7 * wide) - 1)


def _children(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the elements within one: name, and where the content begins and ends."""
    while at < end and (found := _element(file, at, end)):
        yield found
        at = found[2]


def _numbers_of_tracks(file: BinaryIO, at: int, end: int) -> Iterator[int]:
    for entry, first, last in _children(file, at, end):
        if entry == _TRACK:
            for name, begin, stop in _children(file, first, last):
                if name == _TRACK_NUMBER:
                    yield int.from_bytes(read_at(file, begin, stop - begin), "big")


def head(file: BinaryIO, at: int) -> tuple[bytes, int, int | None] | None:
    """Return the head of an EBML element: its name, where its content begins, and its bytes.

    Args:
        file: The open file.
        at: Where it begins.

    Returns:
        None where there is no element; None bytes where their number was not known when it was
        written.
    """
    found = read_at(file, at, 12)
    if len(found) < 2 or not found[0]:
        return None
    named = 9 - found[0].bit_length()
    sized = 9 - found[named].bit_length() if named < len(found) else 0
    if not 1 <= named <= 4 or not 1 <= sized <= 8 or len(found) < named + sized:
        return None
    unknown = (1 << 7 * sized) - 1
    length = int.from_bytes(found[named : named + sized], "big") & unknown
    return found[:named], at + named + sized, None if length == unknown else length


def _element(file: BinaryIO, at: int, end: int) -> tuple[bytes, int, int] | None:
    """Return the name of an EBML element, and where its content begins and ends.

    None where there is none. One of unknown size ends where everything does.
    """
    found = head(file, at)
    if found is None:
        return None
    name, first, length = found
    last = end if length is None else first + length
    return (name, first, last) if last <= end else None
