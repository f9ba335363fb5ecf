"""A stream that breaks off and comes back: a real one, over HTTP on this machine."""

import http.server
import itertools
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hcft_jax.data import live, video
from hcft_jax.data.moments import Moment, Video
from hcft_jax.data.part import Part, Point
from hcft_jax.util.errors import InputError
from tests import films

FRAMES = [np.full((48, 64, 3), 20 * n, np.uint8) for n in range(12)]


class _Breaking(http.server.BaseHTTPRequestHandler):
    """Sends a stream in chunks as often as it is told, and breaks off in the midst of a chunk."""

    content = b""
    calls: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        what = self.calls.pop(0) if self.calls else "gone"
        if what == "gone":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(self.content), self.content))
        if what == "whole":
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(b"fff\r\n" + bytes(10))
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


Serve = Callable[[list[str]], str]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr(live, "PAUSE", 0.01)
    content = films.write(tmp_path / "a.ts", FRAMES, "libx264", "yuv420p").read_bytes()
    handler = type("H", (_Breaking,), {"content": content})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def at(calls: list[str]) -> str:
            _Breaking.calls[:] = calls
            return f"http://127.0.0.1:{server.server_port}/live.ts"

        yield at
        server.shutdown()


def seen(url: str, reconnect: int, part: Part = Part()) -> tuple[list[Moment], Video]:  # noqa: B008
    with video.opened(url, part, reconnect=reconnect) as opened:
        return list(opened), opened


def test_it_is_opened_again_and_what_was_lost_is_known(serve: Serve) -> None:
    url = serve(["break", "gone", "break", "gone", "gone", "whole"])
    moments, opened = seen(url, 5)
    assert opened.live
    assert opened.broken == ""
    assert len(moments) + opened.dropped == 36
    first, second = opened.breaks
    assert (first["frame"], second["frame"]) == (13, 25)
    assert all(found["seconds"] >= 0 and found["reason"] for found in opened.breaks)
    total = sum(found["seconds"] for found in opened.breaks)
    assert sum(moment.gap for moment in moments) == pytest.approx(total, abs=0.01)
    assert [m.number for m in moments] == sorted(m.number for m in moments)
    assert all(a.time <= b.time for a, b in itertools.pairwise(moments))


@pytest.mark.parametrize(("reconnect", "frames"), [(0, 12), (1, 24), (2, 24)])
def test_it_ends_after_the_tries_that_are_allowed(
    serve: Serve, reconnect: int, frames: int
) -> None:
    moments, opened = seen(serve(["break", "break"]), reconnect)
    assert len(moments) + opened.dropped == frames
    assert opened.broken
    assert len(opened.breaks) == frames // 12 - 1


def test_one_that_is_not_there_at_first_is_an_error(serve: Serve) -> None:
    with pytest.raises(InputError, match="not a video that can be read"):
        seen(serve([]), 5)


def test_a_part_of_it_ends_by_the_number_of_its_frames(serve: Serve) -> None:
    moments, opened = seen(serve(["break", "whole"]), 5, Part(Point(3), Point(15)))
    assert moments[0].number >= 3
    assert moments[-1].number == 15
    assert len(moments) + opened.dropped == 13


def test_leaving_it_does_not_wait_for_the_next_try(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAUSE", 600.0)
    with video.opened(serve(["break"]), reconnect=5) as opened:
        assert next(iter(opened)).number >= 1


def test_gaps_before_frames_that_are_dropped_are_not_forgotten() -> None:
    went = threading.Event()
    opened = Video("x", "x", True, None, None, iter(()))

    def source() -> Iterator[Moment]:
        image = np.zeros((1, 1, 3), np.uint8)
        yield Moment(0.0, image, 1)
        went.wait(5)
        for number in (2, 3, 4):
            yield Moment(float(number), image, number, gap=1.5 if number < 4 else 0.0)
        opened.broken = "all"

    items = live.latest(opened, source())
    next(items)
    went.set()
    while not opened.broken:
        time.sleep(0.001)
    rest = list(items)
    assert sum(moment.gap for moment in rest) == 3.0
    assert rest[-1].number == 4


SYSTEM_PYTHON = "/usr/bin/python3"  # which has GStreamer, where it is installed


def rtsp_server(port: int) -> subprocess.Popen[str]:
    command = [SYSTEM_PYTHON, str(Path(__file__).parents[1] / "rtsp_server.py"), str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    if server.stdout.readline() != "ready\n":
        _, said = server.communicate()
        pytest.skip(f"no RTSP server of GStreamer: {said.strip()[-200:]}")
    return server


def ended(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.communicate()


@pytest.mark.slow
@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason=f"there is no {SYSTEM_PYTHON}")
def test_a_real_rtsp_server_that_dies_and_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    servers = [rtsp_server(port)]
    try:
        with video.opened(f"rtsp://127.0.0.1:{port}/live", reconnect=8) as opened:
            moments = []
            for moment in opened:
                assert moment.image.shape == (240, 320, 3)
                moments.append(moment)
                if len(moments) == 10:
                    ended(servers[0])
                    servers.append(rtsp_server(port))
                if opened.breaks and moment.gap == 0:
                    break
            assert opened.live
    finally:
        for server in servers:
            ended(server)
    assert [found["reason"] for found in opened.breaks] == ["it sent no more"]
    assert sum(m.gap for m in moments) == pytest.approx(opened.breaks[0]["seconds"], abs=0.001)
    assert moments[-1].number == len(moments) + opened.dropped


@pytest.mark.slow
@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason=f"there is no {SYSTEM_PYTHON}")
def test_a_real_rtsp_server_that_dies_ends_a_stream_after_the_tries() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = rtsp_server(port)
    try:
        with video.opened(f"rtsp://127.0.0.1:{port}/live", reconnect=1) as opened:
            for moment in opened:
                if moment.number >= 5:
                    ended(server)
            assert opened.broken == "it sent no more"
    finally:
        ended(server)
