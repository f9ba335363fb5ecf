"""Run the programs that ``python -m hcft_jax.export`` wrote, with JAX, flatbuffers and NumPy.

::

    tracker = ExportedTracker("exported")
    tracker.init(image, (x, y, w, h))     # RGB uint8 [H, W, 3]; 0-based pixels
    box, psr = tracker.update(image)
    tracker.lost                          # whether the target counts as lost in this image
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np


class ExportedTracker:
    """One target at a time, in images up to the size that was exported for."""

    def __init__(self, folder: str | Path):
        """Read the programs and the weights. They are compiled when they are first run."""
        folder = Path(folder)
        self.manifest = json.loads((folder / "manifest.json").read_text())
        platform = jax.default_backend().replace("gpu", "cuda")
        if platform not in self.manifest["platforms"]:
            raise ValueError(f"exported for {self.manifest['platforms']}, not for {platform}")
        self._begin, self._init, self._step = (
            jax.jit(
                jax.export.deserialize(bytearray((folder / f"{name}.jaxexport").read_bytes())).call
            )
            for name in ("begin", "init", "step")
        )
        with np.load(folder / "weights.npz") as weights:
            self._weights = jax.device_put({name: weights[name] for name in weights.files})
        self.lost = False
        self._state: Any = None
        self._size: Any = None

    def init(self, image: Any, box: Any) -> None:
        """Start with a target, (x, y, w, h) in pixels from 0."""
        size, most = np.array(image.shape[:2], np.int32), np.array(self.manifest["grid"])
        x, y, w, h = np.asarray(box, np.float64)
        if not (w > 0 and h > 0 and x + w > 0 and x < size[1] and y + h > 0 and y < size[0]):
            raise ValueError(f"box {tuple(box)} is empty or outside of the image")
        begun, grid = self._begin(np.asarray(box, np.float32), size)
        if np.any(grid < 3) or np.any(grid > most):
            raise ValueError(f"box {tuple(box)} needs {grid} cells: 3 to {most} were exported for")
        self._size = image.shape
        self.lost = False
        self._state = self._init(self._weights, self._padded(image), begun)

    def update(self, image: Any) -> tuple[Any, float]:
        """Return the box (x, y, w, h) in the next frame, and its peak-to-sidelobe ratio.

        ``lost`` then says whether the target counts as lost.
        """
        if image.shape != self._size:
            raise ValueError(f"image of {image.shape}, and init was called with {self._size}")
        image = self._padded(image)
        self._state, box, psr, lost = self._step(self._weights, self._state, image)
        self.lost = bool(lost)
        return np.asarray(box), float(psr)

    def _padded(self, image: Any) -> Any:
        more = np.array(self.manifest["image"]) - image.shape[:2]
        if image.dtype != np.uint8 or image.shape[2:] != (3,) or more.min() < 0:
            raise ValueError(f"not RGB uint8 of at most {self.manifest['image']} (height, width)")
        return np.pad(image, [(0, more[0]), (0, more[1]), (0, 0)])
