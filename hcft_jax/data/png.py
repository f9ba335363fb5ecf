"""Checksums of PNG files, which Pillow does not compare where the pixels are."""

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def damaged(content: bytes) -> int | None:
    """Return where the first part with a wrong checksum begins; None where there is none.

    Parts that need not be understood (colour profiles, text) do not count, nor does what follows
    the last one.

    Args:
        content: The file, which begins with ``SIGNATURE``.
    """
    view, at = memoryview(content), len(SIGNATURE)
    while at + 12 <= len(content):
        length = int.from_bytes(view[at : at + 4], "big")
        name, end = bytes(view[at + 4 : at + 8]), at + 8 + length
        if end + 4 > len(content):
            return None  # truncated: the decoder's to say
        needed = not name[0] & 0x20
        if needed and zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return at
        if name == b"IEND":
            return None
        at = end + 4
    return None
