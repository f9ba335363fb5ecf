"""Downloads of single files: resumed after an interruption, verified, once for all processes.

A file is verified by its checksum where one is published, else by its content (``Check``).
"""

import contextlib
import hashlib
import http.client
import math
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError, of_storage
from hcft_jax.util.files import locked
from hcft_jax.util.text import shown

_ATTEMPTS = 5
_TIMEOUT = 10.0  # seconds to connect, and between two blocks
_RETRY_WAIT = 1.0  # seconds
_WINDOW = 15.0  # seconds in which a server must send some bytes, its headers or the file's
_LEAST = 15 << 10  # so many of them


@dataclass(frozen=True)
class Check:
    """A test that tells a whole download from a part of it, and from something else."""

    name: str  # of the unfinished file, without .part; each content has its own
    fault: str  # what the error says about a file that does not pass
    passes: Callable[[Path], bool]

    @staticmethod
    def by_digits(checksum: str) -> "Check":
        """Compare a checksum: an algorithm of ``hashlib``, a colon and hexadecimal digits."""
        algorithm, _, digits = checksum.rpartition(":")

        def passes(path: Path) -> bool:
            with opening.regular(path, opening.DOWNLOAD) as file:
                return hashlib.file_digest(file, algorithm).hexdigest().startswith(digits)

        return Check(digits, f"has another checksum than {checksum}", passes)


def download(
    url: str,
    path: str | Path,
    check: str | Check,
    *,
    convert: Callable[[Path], None] | None = None,
    description: str | None = None,
    most: int | None = None,
) -> None:
    """Download a file, unless ``path`` exists already.

    An interrupted download is resumed, within this call and by the next one: the bytes received so
    far are in ``<name>.part`` beside ``path``. Processes that download to one path at the same time
    wait for each other (by a lock file, ``path`` with the suffix .lock), and all but the first find
    the file there.

    Args:
        url: An HTTP or HTTPS address.
        path: A file, or a folder if ``convert`` makes one; its parents are made.
        check: The checksum of the download: an algorithm of ``hashlib``, a colon and hexadecimal
            digits (``md5:253f...``), perhaps only the first ones, as some publishers have them in
            the file's name; or another check. Nothing is used before it passes.
        convert: Makes ``path``, whole or not at all, from the verified file whose path it is given
            and which is removed afterwards. None: The file itself becomes ``path``.
        description: The title of the progress bar. None: The name of ``path``.
        most: The largest number of bytes that are accepted. None: Any number.

    Raises:
        InputError: There is no network, no such file on the server or no room on the disk, the
            download has another content or too many bytes, or the server redirects to another
            protocol or sends hardly anything.
    """
    path = Path(path)
    if isinstance(check, str):
        check = Check.by_digits(check)
    part = path.with_name(f"{check.name}.part")
    try:
        lock = path.with_suffix(".lock")
        for own in filter(os.path.lexists, (part, lock)):  # a pipe would be waited for
            opening.regular(own, opening.DOWNLOAD).close()
        with locked(lock):
            if path.exists():
                return
            _complete(url, part, check, description or path.name, most)
            if convert is None:
                part.replace(path)
            else:
                convert(part)
                part.unlink()
    except OSError as error:
        raise of_storage(error, f"{path.parent}: cannot write there") from error


class _Broken(Exception):
    """A connection that ended too early, which is worth another attempt."""


class _Pace(threading.Thread):
    """Ends a connection that is too slow, which a limit on each wait does not see.

    A byte per second would keep a download, or the headers before it, busy for years.
    """

    def __init__(self) -> None:
        super().__init__(name="download", daemon=True)
        self.socket: socket.socket | None = None
        self.received = 0
        self.too_slow = False
        self._ended = threading.Event()

    def run(self) -> None:
        before = 0
        while not self._ended.wait(_WINDOW):
            now = self.received
            if now - before < _LEAST and self.socket is not None:
                self.too_slow = True
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_RDWR)
                return
            before = now

    def __enter__(self) -> "_Pace":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to HTTP and HTTPS only, and never from the latter to the former."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req: urllib.request.Request, fp, code, msg, headers, newurl: str
    ) -> urllib.request.Request | None:
        old, new = (urllib.parse.urlsplit(url).scheme.lower() for url in (req.full_url, newurl))
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise InputError(
                f"{req.full_url}: refused, it redirects to {newurl[:100]!r}: only HTTP and HTTPS "
                "are followed, and no HTTP from HTTPS"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(pace: _Pace) -> urllib.request.OpenerDirector:
    """Return what opens HTTP and HTTPS addresses, and nothing else."""

    def watched(kind: type[http.client.HTTPConnection]) -> Any:
        class Paced(kind):  # type: ignore[valid-type, misc]
            def connect(self) -> None:
                super().connect()
                pace.socket = self.sock

        return Paced

    class PacedHttp(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(watched(http.client.HTTPConnection), req)

    class PacedHttps(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(watched(http.client.HTTPSConnection), req)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        PacedHttp(),
        PacedHttps(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _complete(url: str, part: Path, check: Check, description: str, most: int | None) -> None:
    """Complete ``part``, whose beginning an earlier attempt may have left."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY_WAIT)
        if part.exists() and check.passes(part):
            return
        start = part.stat().st_size if part.exists() else 0
        try:
            with _Pace() as pace:
                content_type = _receive(url, part, start, description, most, pace)
        except InputError:
            raise
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # nothing at that offset: the part belongs to another file
                part.unlink(missing_ok=True)
            elif error.code < 500:
                said = _said(error.reason)
                raise InputError(f"{url}: HTTP status {error.code} ({said})") from error
            reason = f"HTTP status {error.code}"
        except urllib.error.URLError as error:
            if not attempt:  # not even a connection: no network, most likely
                raise InputError(f"{url}: cannot connect ({_said(error.reason)})") from error
            reason = _said(error.reason)
        except (ValueError, http.client.InvalidURL) as error:
            raise InputError(f"{url!r}: not a usable address ({_said(error)})") from error
        except (_Broken, http.client.HTTPException) as error:
            reason = _said(error) or type(error).__name__
        else:
            if check.passes(part):
                return
            part.unlink()
            if not start:
                raise InputError(
                    f"{url}: the download ({content_type}) {check.fault}; is it the page of a "
                    "proxy or a login? It was deleted"
                )
            reason = f"the resumed download {check.fault}"
    if part.exists() and check.passes(part):
        return
    raise InputError(
        f"{url}: the download failed {_ATTEMPTS} times ({reason}); start it again to resume it"
    )


def _said(text: object) -> str:
    """Return what a server or library says, short and on one line: it may be anything."""
    return shown(" ".join(str(text).split()), 100)


def _receive(
    url: str, part: Path, start: int, description: str, most: int | None, pace: _Pace
) -> str:
    """Append the bytes from ``start`` on, or start over; return the content type.

    Raises:
        InputError: The server sends too much, or too slowly, or redirects to another protocol.
    """
    broken: Exception | None = None
    try:
        content_type = _received(url, part, start, description, most, pace)
    except (urllib.error.URLError, _Broken, http.client.HTTPException) as error:
        broken = error
    if pace.too_slow:  # without a length, its end then looks like that of a whole file
        rate = _LEAST / _WINDOW / 1024
        raise InputError(
            f"{url}: given up, the server sent less than {rate:g} KiB per second for {_WINDOW:g} "
            "s; start it again to resume it"
        ) from broken
    if broken is not None:
        raise broken
    return content_type


def _received(
    url: str, part: Path, start: int, description: str, most: int | None, pace: _Pace
) -> str:
    limit = math.inf if most is None else most
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        opened = _opener(pace).open(request, timeout=_TIMEOUT)
    except urllib.error.URLError:
        raise
    except OSError as error:  # connected, but no answer came
        raise _Broken(str(error)) from error
    with opened as response:
        headers = response.headers
        if not headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # a server without ranges sends everything
        length = headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if (total or 0) > limit:
            raise InputError(f"{url}: {total} bytes are too many, at most {most} are accepted")
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=description,
                disable=None,
            ) as bar,
        ):
            while True:
                try:
                    block = response.read1(1 << 16)  # what there is, not all of it
                except (OSError, http.client.HTTPException) as error:
                    raise _Broken(str(error)) from error
                if not block:
                    break
                file.write(block)
                pace.received += len(block)
                bar.update(len(block))
                if file.tell() > limit:
                    file.truncate(0)
                    raise InputError(f"{url}: sends more than {most} bytes, which are too many")
            if total is not None and file.tell() < total:
                raise _Broken(f"{file.tell()} of {total} bytes received")
        return str(headers.get_content_type())
