"""The GUI, on a virtual screen of its own (Debian: xvfb)."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from absl import flags
from absl.testing import flagsaver

from hcft_jax import main
from hcft_jax.own_video.gui import Box, Gui
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


KEYS: dict[str, Callable[[Any], None]] = {}  # what is bound to them


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record what keys are bound to: without a window manager nothing has the focus for sure."""
    import tkinter

    bind = tkinter.Tk.bind

    def recorded(self: Any, key: str, function: Callable[[Any], None]) -> None:
        KEYS[key] = function
        bind(self, key, function)

    monkeypatch.setattr(tkinter.Tk, "bind", recorded)


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


Drag = tuple[tuple[int, int], ...]
ONE: Drag = ((120, 90), (100, 60), (50, 40))
TWO: Drag = ((150, 100), (170, 130))
THREE: Drag = ((10, 10), (20, 20))


def act(gui: Gui, *steps: Drag | str) -> None:
    """Have boxes drawn and keys pressed as soon as the picture is on the screen."""

    def now() -> None:
        if not gui._canvas.winfo_viewable():
            gui._root.after(20, now)
            return
        for step in steps:
            if isinstance(step, str):
                KEYS[step](None)
            else:
                drag(gui, *step)

    gui._root.after(20, now)


@pytest.mark.parametrize(
    "steps",
    [
        (THREE, ONE, "<Return>"),
        (ONE, "<KP_Enter>"),
        (ONE, "<space>", "<space>"),
        (ONE, "<space>", "<Return>"),
        ("<Return>", "<space>", ONE, "<Return>"),
        (TWO, "<space>", "<BackSpace>", ONE, "<Return>"),
    ],
)
def test_a_box_is_drawn_in_any_direction_and_taken_by_enter_or_space(
    gui: Gui, steps: tuple[Drag | str, ...]
) -> None:
    act(gui, *steps)
    assert gui.select(PICTURE) == [(50.0, 40.0, 70.0, 50.0)]
    assert gui.show(PICTURE)


@pytest.mark.parametrize("ends", [("<Return>",), ("<space>", "<Return>"), ("<space>", "<space>")])
def test_several_boxes_are_drawn_in_one_go(gui: Gui, ends: tuple[str, ...]) -> None:
    act(gui, ONE, "<space>", THREE, TWO, *ends)
    assert gui.select(PICTURE) == [(50.0, 40.0, 70.0, 50.0), (150.0, 100.0, 20.0, 30.0)]
    assert len(gui._canvas.find_all()) == 1  # the picture


@pytest.mark.parametrize("key", ["c", "C", "<Escape>", "q"])
def test_c_and_escape_leave_whatever_is_drawn(gui: Gui, key: str) -> None:
    act(gui, ONE, "<space>", TWO, key)
    with pytest.raises(SettingError, match="select: the GUI was closed before a box was drawn"):
        gui.select(PICTURE)


def test_a_large_picture_fits_on_the_screen_and_boxes_are_in_its_pixels(gui: Gui) -> None:
    act(gui, ((0, 0), (100, 50)), "<Return>")
    ((x, y, w, h),) = gui.select(np.zeros((2160, 3840, 3), np.uint8))
    assert gui._photo.width() <= 640
    scale = 3840 / gui._photo.width()
    np.testing.assert_allclose((x, y, w, h), (0, 0, 100 * scale, 50 * scale), rtol=0.01)


def test_a_video_is_watched_from_a_box_that_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = Gui.select

    def drawing(self: Gui, picture: npt.NDArray[np.uint8]) -> list[Box]:
        act(self, ((30, 20), (60, 50)), "<Return>")
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
