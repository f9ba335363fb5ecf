"""The GUI, on a virtual screen of its own (Debian: xvfb)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from absl import flags
from absl.testing import flagsaver

from hcft_jax import main
from hcft_jax.own_video.gui import Gui
from hcft_jax.util.errors import SettingError
from tests import films
from tests.system.test_main import QUICK

PICTURE = np.full((200, 300, 3), 90, np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _screen() -> Iterator[None]:
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("no Xvfb on this machine")
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with pytest.MonkeyPatch.context() as patch, os.fdopen(read) as number:
        if not (display := number.readline().strip()):
            server.wait()
            pytest.skip("Xvfb does not start here")
        patch.setenv("DISPLAY", f":{display}")
        yield
    server.terminate()
    server.wait()


@pytest.fixture
def gui() -> Iterator[Gui]:
    opened = Gui("test", "show")
    yield opened
    opened.close()


def drag(gui: Gui, *path: tuple[int, int]) -> None:
    canvas = gui._canvas
    canvas.event_generate("<Button-1>", x=path[0][0], y=path[0][1])
    for x, y in path[1:]:
        canvas.event_generate("<B1-Motion>", x=x, y=y)


def test_a_picture_is_shown_until_q_is_pressed(gui: Gui) -> None:
    assert gui.show(PICTURE)
    assert (gui._photo.width(), gui._photo.height()) == (300, 200)
    assert gui._photo.get(5, 5) == (90, 90, 90)
    gui._root.focus_force()
    gui._root.event_generate("q")
    assert not gui.show(PICTURE)


def test_a_box_is_drawn_in_any_direction_and_taken_by_enter(gui: Gui) -> None:
    root = gui._root

    def draw() -> None:
        drag(gui, (10, 10), (20, 20))  # a first try
        drag(gui, (120, 90), (100, 60), (50, 40))
        root.focus_force()
        root.event_generate("<Return>")

    root.after(300, draw)
    assert gui.select(PICTURE) == (50.0, 40.0, 70.0, 50.0)
    assert gui.show(PICTURE)


def test_a_large_picture_fits_on_the_screen_and_boxes_are_in_its_pixels(gui: Gui) -> None:
    root = gui._root

    def draw() -> None:
        drag(gui, (0, 0), (100, 50))
        root.focus_force()
        root.event_generate("<Return>")

    root.after(300, draw)
    x, y, w, h = gui.select(np.zeros((2160, 3840, 3), np.uint8))
    assert gui._photo.width() <= 640
    scale = 3840 / gui._photo.width()
    np.testing.assert_allclose((x, y, w, h), (0, 0, 100 * scale, 50 * scale), rtol=0.01)


def test_a_video_is_watched_from_a_box_that_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = Gui.select

    def drawing(self: Gui, picture: npt.NDArray[np.uint8]) -> tuple[float, float, float, float]:
        def draw() -> None:
            drag(self, (30, 20), (60, 50))
            self._root.focus_force()
            self._root.event_generate("<Return>")

        self._root.after(300, draw)
        return select(self, picture)

    monkeypatch.setattr(Gui, "select", drawing)
    shown: list[npt.NDArray[np.uint8]] = []
    show = Gui.show

    def watched(self: Gui, picture: npt.NDArray[np.uint8]) -> bool:
        shown.append(picture)
        return show(self, picture)

    monkeypatch.setattr(Gui, "show", watched)
    path = films.write(tmp_path / "a.mkv", [np.full((80, 96, 3), 90, np.uint8)] * 4)
    with flagsaver.flagsaver():
        arguments = ["--config=video", f"--video={path}", "--select", "--show", *QUICK]
        status = main.main(flags.FLAGS(["main", *arguments, f"--output_dir={tmp_path / 'out'}"]))
    assert status == 0
    assert [picture.shape for picture in shown] == [(400, 480, 3)] * 4
    (table,) = tmp_path.glob("out/*/video/a-*/boxes.csv")
    assert ",30.0000,20.0000,30.0000,30.0000,," in table.read_text().splitlines()[1]


def test_closing_without_a_box_is_one_line(gui: Gui) -> None:
    gui._root.after(200, gui._end)
    with pytest.raises(SettingError, match="select: the GUI was closed before a box was drawn"):
        gui.select(PICTURE)


def test_no_screen_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":77777")
    with pytest.raises(SettingError, match=r"select: there is no screen .* give --box=x,y,w,h"):
        Gui("test", "select")


def test_a_python_without_tk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tkinter", None)
    with pytest.raises(SettingError, match="show: this Python has no tkinter"):
        Gui("test", "show")
