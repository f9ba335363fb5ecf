"""Images as callers give them: arrays of any library, Pillow's images, and paths."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from PIL import Image

from hcft_jax.data import depth, frames
from hcft_jax.util import arguments
from hcft_jax.util.errors import InputError

COLOURS = ("rgb", "bgr")
"""The orders of channels that an array may have."""


def prepared(
    image: Any, bits: int | None, color: str = COLOURS[0]
) -> tuple[npt.NDArray[Any] | jax.Array, tuple[str, str, str], int | None]:
    """Return an image as RGB ``[H, W, 3]``, uint8 or float32 in [0, 255], and its kind.

    The kind is the size, channels and type in words: what must stay the same in a video.

    Args:
        image: As ``Tracker.init`` and ``update`` take it.
        bits: How many of 16 the first image uses; None: this is the first one.
        color: Of ``COLOURS``: the order of an array's channels. Paths and Pillow's images have
            their own.

    Returns:
        The image, its kind, and how many of 16 bits are used.

    Raises:
        InputError: The image has another shape or type, or values in another range.
    """
    if isinstance(image, str | os.PathLike):
        image, color = frames.read_image(os.path.expanduser(image), upright=True), COLOURS[0]
    elif isinstance(image, Image.Image):
        image, color = _of_pillow(image), COLOURS[0]
    picture = image if isinstance(image, jax.Array) else arguments.numbers("image", image)
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.ndim not in (2, 3) or channels not in (1, 3) or not picture.size:
        hint = "; leave alpha out: image[..., :3]" if channels in (2, 4) else ""
        raise InputError(
            f"image: shape {picture.shape} is neither RGB [H, W, 3] nor grey [H, W]{hint}"
        )
    dtype = str(picture.dtype)
    if picture.dtype == np.uint16:
        deep = np.asarray(picture)
        bits = depth.used(deep, "image") if bits is None else bits
        picture = depth.to_8_bits(deep, bits or depth.DEPTHS[-1])
    elif jnp.issubdtype(picture.dtype, jnp.floating):
        picture = picture.astype(np.float32)
        _check_floats(picture, first=bits is None)
        dtype, bits = "float32", 0
    elif picture.dtype != np.uint8:
        raise InputError(f"image: {picture.dtype} is neither uint8, uint16 nor float in [0, 255]")
    size = f"{picture.shape[1]} x {picture.shape[0]} px"
    kind = size, "RGB" if channels == 3 else "grey", dtype
    if channels == 1:
        xp = jnp if isinstance(picture, jax.Array) else np
        picture = xp.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
    elif color == "bgr":
        picture = picture[..., ::-1]
    return picture, kind, bits


def _of_pillow(image: Image.Image) -> Any:
    """Return the pixels of Pillow's image; colours are looked up, and alpha is dropped."""
    if image.mode in ("L", "RGB", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode == "I":  # 32 bits, in which Pillow has 16
        return np.asarray(image).astype(np.uint16)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the direct way
    return np.asarray(image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _check_floats(picture: npt.NDArray[np.float32] | jax.Array, first: bool) -> None:
    """Refuse values that are no brightness in [0, 255].

    A later image whose values are 0 and 1 only is nearly black; fractions are of another range.
    """
    low, high = float(picture.min()), float(picture.max())  # NaN where a value is
    if not np.isfinite([low, high]).all():
        raise InputError("image: it has values that are not finite (NaN or infinity)")
    if low < 0 or high > 255:
        raise InputError(
            f"image: float values are in [0, 255], and these are in [{low:g}, {high:g}]"
        )
    if 0 < high <= 1 and (first or bool((picture % 1).any())):  # a frequent mistake
        raise InputError("image: float values are in [0, 255], and these are at most 1")
