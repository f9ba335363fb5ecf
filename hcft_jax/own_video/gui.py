"""A GUI to draw a box in and to watch the tracking with, made with Python's own Tk."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import SettingError

Image = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]  # x, y, w, h in pixels, 0-based
_SHARE = 0.85  # the part of the screen's sides that a picture may take


class Gui:
    """A GUI that shows pictures. One that is larger than the screen is shown smaller."""

    def __init__(self, title: str, field: str):
        """Open it.

        Args:
            title: The text in the title bar.
            field: The field of ``OwnVideo`` that asks for it: ``select`` or ``show``.

        Raises:
            SettingError: There is no screen, or this Python has no Tk.
        """
        instead = "; give --box=x,y,w,h (--preview=frame.png draws a grid)"
        instead = instead if field == "select" else ""
        try:
            import tkinter
        except ImportError as error:
            problem = "this Python has no tkinter (Debian: apt install python3-tk)"
            raise SettingError(field, f"{problem}{instead}") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise SettingError(field, f"there is no screen ({error}){instead}") from error
        self._tk = tkinter
        self._root.title(title)
        self._canvas = tkinter.Canvas(self._root, highlightthickness=0)
        self._canvas.pack()
        self._photo: Any = None
        self._scale = 1.0  # pixels on the screen per pixel of the picture
        self.open = True
        self._root.protocol("WM_DELETE_WINDOW", self._end)
        for key in ("q", "<Escape>"):
            self._root.bind(key, self._end)

    def _end(self, event: Any = None) -> None:
        self.open = False

    def close(self) -> None:
        """Close it."""
        self.open = False
        with contextlib.suppress(self._tk.TclError):
            self._root.destroy()

    def show(self, picture: Image) -> bool:
        """Show RGB uint8 ``[H, W, 3]``; return False once it is closed (also by q or Esc)."""
        try:
            if self.open:
                self._draw(picture)
                self._root.update()
        except self._tk.TclError:  # it was closed while it was drawn in
            self.open = False
        return self.open

    def select(self, picture: Image) -> list[Box]:
        """Return the boxes (x, y, w, h) that the user draws, 0-based, in the picture's pixels.

        Pressing and pulling the mouse draws a box, any number of times, until it is as wanted.
        Enter, or the right button, takes it and ends the drawing. Space takes it, and another one
        can be drawn; pressed once more it ends the drawing. Backspace gives back the last one. C
        and Esc leave without a box.

        Args:
            picture: RGB uint8 ``[H, W, 3]``.

        Raises:
            SettingError: The user left, or closed the GUI, without a box.
        """
        corners: list[tuple[int, int]] = []
        taken: list[Box] = []
        done = False

        def press(event: Any) -> None:
            corners[:] = [(event.x, event.y)] * 2

        def pull(event: Any) -> None:
            corners[1:] = [(event.x, event.y)]
            self._canvas.delete("box")
            self._canvas.create_rectangle(*corners[0], *corners[1], outline="red", tags="box")

        def take() -> bool:
            """Take the box that is drawn; return whether there is one."""
            if len(corners) < 2 or corners[0] == corners[1]:
                return False
            (left, right), (top, bottom) = (sorted(pair) for pair in zip(*corners, strict=True))
            box = np.array([left, top, right - left, bottom - top]) / self._scale
            taken.append(tuple(map(float, box)))  # type: ignore[arg-type]
            corners.clear()
            self._canvas.delete("box")
            self._canvas.create_rectangle(
                left, top, right, bottom, outline="lime", tags=f"taken-{len(taken)}"
            )
            self._tell(len(taken))
            return True

        def another(event: Any) -> None:
            nonlocal done
            done = not take() and bool(taken)

        def end(event: Any) -> None:
            nonlocal done
            take()
            done = bool(taken)

        def undo(event: Any) -> None:
            corners.clear()
            self._canvas.delete("box")
            if taken:
                self._canvas.delete(f"taken-{len(taken)}")
                taken.pop()
            self._tell(len(taken))

        keys = dict.fromkeys(("<Return>", "<KP_Enter>", "<Button-2>", "<Button-3>"), end)
        keys |= {"<space>": another, "<BackSpace>": undo, "c": self._end, "C": self._end}
        self._draw(picture)
        self._tell(0)
        self._canvas.bind("<Button-1>", press)
        self._canvas.bind("<B1-Motion>", pull)
        with self._bound(keys):
            while self.open and not done:
                self._root.update()
                time.sleep(0.01)
        if not done:
            raise SettingError("select", "the GUI was closed before a box was drawn")
        for number in range(1, len(taken) + 1):
            self._canvas.delete(f"taken-{number}")
        return taken

    def _tell(self, taken: int) -> None:
        """Say in the title bar what can be done."""
        first = f"{taken} taken. Draw another box" if taken else "Draw a box around the target"
        ends = "Enter: begin, Space: take it and draw another, C or Esc: leave"
        self._root.title(f"{first} ({ends})")

    @contextlib.contextmanager
    def _bound(self, keys: Mapping[str, Any]) -> Iterator[None]:
        for key, function in keys.items():
            self._root.bind(key, function)
        try:
            yield
        finally:
            for key in keys:
                self._root.unbind(key)
            for button in ("<Button-1>", "<B1-Motion>"):
                self._canvas.unbind(button)

    def _draw(self, picture: Image) -> None:
        height, width = picture.shape[:2]
        most = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
        self._scale = min(1.0, _SHARE * most[0] / width, _SHARE * most[1] / height)
        if self._scale < 1:
            size = max(1, round(self._scale * width)), max(1, round(self._scale * height))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            height, width = picture.shape[:2]
        data = b"P6 %d %d 255\n" % (width, height) + np.ascontiguousarray(picture).tobytes()
        self._photo = self._tk.PhotoImage(data=data, format="PPM")  # Tk itself keeps no reference
        self._canvas.delete("picture")
        self._canvas.configure(width=width, height=height)
        self._canvas.create_image(0, 0, image=self._photo, anchor="nw", tags="picture")
        self._canvas.tag_lower("picture")
