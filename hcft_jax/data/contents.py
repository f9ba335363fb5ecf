"""What files contain, told by a digest that is the same wherever and whenever they are copied.

To read every frame of a benchmark takes seconds, to look at sizes and times takes a tenth of one.
So both are known of files: a *stamp* of their names, sizes and times, which changes whenever
somebody writes to them, and a *digest* of their bytes, which tells a copy from a replacement. Who
compares looks at the stamps first and reads only where these differ.
"""

import hashlib
import os
import queue
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

_Seen = tuple[int, int, int]  # size in bytes, when it was written, when its entry changed (ns)

_SIZE = 16  # bytes of a digest
_PIECE = 2**20  # bytes that are read at once
_waiting: "queue.SimpleQueue[tuple[Contents, int, int]]" = queue.SimpleQueue()
_reader: threading.Thread | None = None


class Contents:
    """The contents of files, as they are when one first looks at them; cheap until then."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take the paths, in an order that counts; nothing is looked at yet."""
        self._paths = tuple(paths)
        self._seen: list[_Seen | None] = []
        self._digests: list[bytes | None] = []
        self._lock = threading.Lock()  # each file is read once

    def __reduce__(self) -> tuple[type["Contents"], tuple[tuple[Path, ...]]]:
        return Contents, (self._paths,)  # another process looks for itself

    def look(self) -> None:
        """Take the sizes and times of all files, unless that has been done."""
        if not self._seen:
            self._digests = [None] * len(self._paths)
            self._seen = [_look(path) for path in self._paths]

    def stamp(self, first: int, last: int) -> str:
        """Return a digest of names, sizes and times, without reading a file.

        Args:
            first: The number of the first file, from 0.
            last: That of the last one, inclusive.
        """
        self.look()
        state = hashlib.blake2b(digest_size=_SIZE)
        for path, seen in zip(self._paths[first : last + 1], self._seen[first:], strict=False):
            state.update(f"{path.name}\0{seen}\n".encode(errors="surrogateescape"))
        return state.hexdigest()

    def begin(self, first: int, last: int) -> None:
        """Let a thread read files that ``digest`` will be asked for.

        Args:
            first: As in ``stamp``.
            last: As in ``stamp``.
        """
        global _reader
        self.look()
        if _reader is None or not _reader.is_alive():
            _reader = threading.Thread(target=_read, name="contents", daemon=True)
            _reader.start()
        _waiting.put((self, first, last))

    def digest(self, first: int, last: int) -> str | None:
        """Return a digest of the bytes of files; None where one is no file that can be read.

        Args:
            first: As in ``stamp``.
            last: As in ``stamp``.
        """
        self.look()
        state = hashlib.blake2b(digest_size=_SIZE)
        for index in range(first, last + 1):
            with self._lock:
                known = self._digests[index]
                if known is None:
                    known = self._digests[index] = self._read(index)
            if known is None:
                return None
            state.update(known)
        return state.hexdigest()

    def changed(self, first: int, last: int) -> Path | None:
        """Return a file that was written to since it was first looked at; None if none was.

        Args:
            first: As in ``stamp``.
            last: As in ``stamp``.
        """
        self.look()
        for path, seen in zip(self._paths[first : last + 1], self._seen[first:], strict=False):
            now = _look(path)
            if (now and now[:2]) != (seen and seen[:2]):  # a new link or mode is no new content
                return path
        return None

    def _read(self, index: int) -> bytes | None:
        seen = self._seen[index]
        if seen is None:
            return None
        state = hashlib.blake2b(digest_size=_SIZE)
        piece = min(seen[0] + 1, _PIECE)  # most frames are read at once
        try:
            with self._paths[index].open("rb", buffering=0) as file:
                while read := file.read(piece):
                    state.update(read)
        except OSError:
            return None
        return state.digest()


def _look(path: Path) -> _Seen | None:
    """Return a file's size and times; None where it is no regular file, which may never end."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read() -> None:
    while True:
        contents, first, last = _waiting.get()
        contents.digest(first, last)
        del contents
