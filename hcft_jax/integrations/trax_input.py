"""What a TraX client sends, checked before the protocol's library reads it.

The library waits for the end of a message for ever, also where the client has ended, and takes
memory meanwhile. So a thread reads the client's stream and passes on whole messages only, which
have a bound; whatever goes wrong ends the stream with the message that means the end.
"""

import contextlib
import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from hcft_jax.util.errors import InputError

LONGEST = 300 << 20  # bytes of a message: an image of 8192 x 8192 px in base64 has 256 MiB
IDLE = 3600.0  # seconds between two messages
UNFINISHED = 60.0  # seconds that a message may take
_PREFIX = b"@@TRAX:"
_QUIT = b"@@TRAX:quit \n"
_BLOCK = 1 << 16
# words, each bare or in quotes with backslashes; the library would read on after an open quote,
# and an empty word in the place of a region ends its process
_MESSAGE = re.compile(
    rb'@@TRAX:[a-z]+(?:[ \t]+(?:"(?!")[^"\\\0]*(?:\\[^\0][^"\\\0]*)*"|[^\s"\0]+))*[ \t\r]*'
)


@dataclass
class Incoming:
    """The stream of a client.

    Attributes:
        fault: Why it ended, where that was not the client's wish; empty before.
    """

    fault: str = ""


@contextlib.contextmanager
def checked(
    longest: int = LONGEST, idle: float = IDLE, unfinished: float = UNFINISHED
) -> Iterator[Incoming]:
    """Let a server that is made in the block read whole messages of the client only.

    The client is where TraX's environment says: TRAX_SOCKET is the port of one on this machine,
    TRAX_IN a file descriptor; else it is the standard input.

    Args:
        longest: The most bytes of a message.
        idle: The most seconds between two messages.
        unfinished: The most seconds in which a message must have come.

    Raises:
        InputError: There is no client at that port, or no such file descriptor.
    """
    before = {name: os.environ.get(name) for name in ("TRAX_SOCKET", "TRAX_IN", "TRAX_OUT")}
    incoming = Incoming()
    with contextlib.ExitStack() as stack:
        try:
            if port := os.environ.pop("TRAX_SOCKET", ""):
                place = ("127.0.0.1", int(port))
                connection = stack.enter_context(socket.create_connection(place, 10.0))
                connection.settimeout(None)
                source = connection.fileno()
                os.environ["TRAX_OUT"] = str(source)
            else:
                source = int(os.environ.get("TRAX_IN", "0"))
                os.fstat(source)
        except (OSError, ValueError, OverflowError) as error:
            _restore(before)
            raise InputError(f"TraX: no client ({error}); is this run by a toolkit?") from error
        passed_on, into = os.pipe()
        woken, wake = os.pipe()
        for end in (passed_on, woken, wake):
            stack.callback(os.close, end)
        os.environ["TRAX_IN"] = str(passed_on)
        stack.callback(_restore, before)
        limits = longest, idle, unfinished
        arguments = (incoming, source, into, woken, limits)
        thread = threading.Thread(target=_pass_on, args=arguments, name="trax", daemon=True)
        thread.start()
        try:
            yield incoming
        finally:
            os.write(wake, b"\n")
            thread.join(1.0)  # it may hold a message that nobody reads


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _pass_on(
    incoming: Incoming,
    source: int,
    into: int,
    woken: int,
    limits: tuple[int, float, float],
) -> None:
    """Pass messages on until there is no more, or none that is one; then end the stream."""
    try:
        for message in _messages(incoming, source, woken, *limits):
            _write(into, message)
        _write(into, _QUIT)
    except OSError:  # the server has ended first
        pass
    finally:
        os.close(into)


def _write(into: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(into, rest) :]


def _messages(
    incoming: Incoming, source: int, woken: int, longest: int, idle: float, unfinished: float
) -> Iterator[bytes]:
    begun: list[bytes] = []
    size, end = 0, time.monotonic() + idle
    while True:
        ready, _, _ = select.select([source, woken], [], [], max(0.0, end - time.monotonic()))
        if woken in ready:
            return
        block = os.read(source, _BLOCK) if ready else b""
        if not block:
            reason = "ended" if ready else "sent no more"
            where = " in the middle of a message" if begun else " without saying so"
            incoming.fault = f"the client {reason}{where if ready or begun else ''}"
            return
        *ends, rest = block.split(b"\n")
        for part in ends:
            message = b"".join([*begun, part])
            begun, size, end = [], 0, time.monotonic() + idle
            if not message.startswith(_PREFIX):
                continue  # other lines are no part of the protocol
            if len(message) > longest:
                incoming.fault = f"a message of more than {longest} bytes"
                return
            if not _MESSAGE.fullmatch(message):
                incoming.fault = f"no message of the protocol: {message[:60]!r}"
                return
            yield message + b"\n"
            if message.startswith(_QUIT.rstrip()):
                return
        if rest:
            if not begun:
                end = time.monotonic() + unfinished
            begun.append(rest)
            size += len(rest)
            if size > longest:
                incoming.fault = f"a message of more than {longest} bytes"
                return
