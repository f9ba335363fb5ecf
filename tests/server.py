"""An HTTP server on this machine that misbehaves as told."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BLOCK = 4096  # bytes between two pauses


@dataclass
class Behaviour:
    """What the server does; ``cuts`` and ``statuses`` are used up, one per request."""

    content: bytes
    files: dict[str, bytes] | None = None  # by name, in place of content; others are not there
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes sent before the connection is closed
    statuses: list[int] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)  # seconds before closing without an answer
    length: int | None = None  # a lie about the length
    redirect: str | None = None  # where every request is sent on to
    drip: str = ""  # what comes byte by byte without an end: headers, body or chunks
    content_type: str = "application/octet-stream"
    pause: float = 0.0  # seconds between two blocks
    requests: list[str | None] = field(default_factory=list)  # their Range headers
    url: str = ""

    @property
    def digits(self) -> str:
        return hashlib.md5(self.content).hexdigest()

    @property
    def checksum(self) -> str:
        return f"md5:{self.digits}"


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, *_: Any) -> None:
        pass

    def _drip(self, what: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        if what == "headers":
            self.wfile.write(b"X-Long: ")
        elif what == "chunks":
            self.wfile.write(b"Transfer-Encoding: chunked\r\n\r\n5;")
        else:
            self.wfile.write(b"Content-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):  # the client has given up
            while True:
                self.wfile.write(b"x")
                time.sleep(0.02)

    def do_GET(self) -> None:
        behaviour = self.behaviour
        wanted = self.headers.get("Range")
        behaviour.requests.append(wanted)
        if behaviour.silences:
            time.sleep(behaviour.silences.pop(0))
            return
        if behaviour.redirect is not None:
            self.send_response(302)
            self.send_header("Location", behaviour.redirect)
            self.end_headers()
            return
        if behaviour.drip:
            self._drip(behaviour.drip)
            return
        if behaviour.statuses:
            self.send_error(behaviour.statuses.pop(0))
            return
        content: bytes | None = behaviour.content
        if behaviour.files is not None:
            content = behaviour.files.get(self.path.rpartition("/")[2])
        if content is None:
            self.send_error(404)
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and behaviour.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Type", behaviour.content_type)
        self.send_header("Content-Length", str(behaviour.length or len(body)))
        self.end_headers()
        body = body[: behaviour.cuts.pop(0)] if behaviour.cuts else body
        if not behaviour.pause:
            self.wfile.write(body)
            return
        with contextlib.suppress(OSError):  # the client has been ended
            for start in range(0, len(body), BLOCK):
                self.wfile.write(body[start : start + BLOCK])
                time.sleep(behaviour.pause)


@contextlib.contextmanager
def serving(content: bytes, name: str) -> Iterator[Behaviour]:
    """Serves ``content`` as the file ``name`` (in fact as every file)."""
    behaviour = Behaviour(content)
    handler = type("OwnHandler", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        behaviour.url = f"http://127.0.0.1:{running.server_port}/{name}"
        try:
            yield behaviour
        finally:
            running.shutdown()
            thread.join()
