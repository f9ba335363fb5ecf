"""What a TraX client sends: whole messages reach the library, anything else ends the stream."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.integrations import trax_input
from hcft_jax.integrations.trax_input import Incoming
from hcft_jax.util.errors import InputError

START = b'@@TRAX:initialize "1.0,2.0,3.0,4.0" "a=q\\"uo\\nte\\\\" \n'
FRAME = b'@@TRAX:frame "file:///tmp/0001.jpg" \n'
QUIT = b"@@TRAX:quit \n"


@contextlib.contextmanager
def client(sent: bytes, ends: bool = True) -> Iterator[None]:
    """A client that has sent something (less than a pipe holds), and may have ended."""
    receiver, sender = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TRAX_SOCKET", raising=False)
        patch.setenv("TRAX_IN", str(receiver))
        os.write(sender, sent)
        if ends:
            os.close(sender)
        try:
            yield
        finally:
            os.close(receiver)
            if not ends:
                os.close(sender)


def received() -> bytes:
    with os.fdopen(os.dup(int(os.environ["TRAX_IN"])), "rb") as stream:
        return stream.read()


def passed_on(sent: bytes, ends: bool = True, **limits: float) -> tuple[bytes, Incoming]:
    with client(sent, ends), trax_input.checked(**limits) as incoming:  # type: ignore[arg-type]
        return received(), incoming


def test_whole_messages_are_passed_on_as_they_are() -> None:
    content, incoming = passed_on(b"a line of nobody\n" + START + FRAME + QUIT, ends=False)
    assert (content, incoming.fault) == (START + FRAME + QUIT + QUIT, "")


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"", "the client ended without saying so"),
        (START, "the client ended without saying so"),
        (START + FRAME[:-1], "the client ended in the middle of a message"),
        (START + FRAME[:20], "the client ended in the middle of a message"),
        (START + FRAME[:20] + b"\n" + QUIT, "no message of the protocol: .*file"),
        (START + b'@@TRAX:frame "a\0b" \n', "no message of the protocol"),
        (START + b'@@TRAX:frame "a\\\n', "no message of the protocol"),
        (START + b'@@TRAX:initialize "" \n', "no message of the protocol"),
        (START + b"@@TRAX:frame " + b"x" * 500 + b"\n", "a message of more than 400 bytes"),
        (START + b"x" * 500, "a message of more than 400 bytes"),
    ],
)
def test_whatever_else_comes_ends_the_stream_with_a_quit(sent: bytes, fault: str) -> None:
    content, incoming = passed_on(sent, longest=400)
    assert content == (START if sent else b"") + QUIT
    assert re.search(fault, incoming.fault)


@pytest.mark.parametrize("sent", [START, START + FRAME[:9]])
def test_waits_have_an_end(sent: bytes) -> None:
    content, incoming = passed_on(sent, ends=False, idle=0.1, unfinished=0.1)
    assert content == START + QUIT
    assert incoming.fault.startswith("the client sent no more")


@given(st.binary(max_size=300))
def test_the_library_only_ever_gets_whole_messages(sent: bytes) -> None:
    content, _ = passed_on(sent, longest=100)
    lines = content.split(b"\n")
    assert lines.pop() == b""
    assert lines[-1] == QUIT.rstrip(b"\n")
    assert all(line.startswith(b"@@TRAX:") and len(line) <= 100 for line in lines)
    assert all(
        line.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') % 2 == 0 for line in lines
    )


def test_without_a_client_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAX_SOCKET", "1")
    with pytest.raises(InputError, match="TraX: no client"), trax_input.checked():
        pass
    assert os.environ["TRAX_SOCKET"] == "1"


SERVER = """import resource, sys
from hcft_jax.integrations import trax_input
from hcft_jax.util.errors import InputError
import trax
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # the library alone would need more
with trax_input.checked() as incoming:
    server = trax.Server([trax.Region.RECTANGLE], [trax.Image.PATH], tracker_name="x")
    while (request := server.wait()).type != trax.TraxStatus.QUIT:
        server.status([(trax.Rectangle.create(1, 2, 3, 4), {})])
    server.quit()
print(incoming.fault, file=sys.stderr)
"""


def test_the_library_ends_where_a_client_dies_in_a_message() -> None:
    pytest.importorskip("trax")
    sent = START + FRAME + FRAME[:-3]
    done = subprocess.run([sys.executable, "-c", SERVER], input=sent, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"@@TRAX:state") == 1
    assert b"the client ended in the middle of a message" in done.stderr
