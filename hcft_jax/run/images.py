"""Images as callers have them, made what the tracker takes, or refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import InputError

Image = npt.NDArray[Any] | jax.Array


def prepared(image: Any) -> Image:
    """An image as the tracker takes it: RGB ``[H, W, 3]``, uint8 or float32 in [0, 255].

    Raises:
        InputError: another shape or type, or values that are not finite.
    """
    picture = image if isinstance(image, jax.Array) else np.asarray(image)
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.ndim not in (2, 3) or channels not in (1, 3) or not picture.size:
        hint = "; leave alpha out: image[..., :3]" if channels in (2, 4) else ""
        raise InputError(
            f"image: shape {picture.shape} is neither RGB [H, W, 3] nor grey [H, W]{hint}"
        )
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    elif jnp.issubdtype(picture.dtype, jnp.floating):
        picture = picture.astype(np.float32)
        # a sum is not finite where a value is not: one pass, and no copy
        if not np.isfinite(picture.sum()):
            raise InputError("image: it has values that are not finite (NaN or infinity)")
    elif picture.dtype != np.uint8:
        raise InputError(f"image: {picture.dtype} is neither uint8, uint16 nor float in [0, 255]")
    if channels == 3:
        return picture
    xp = jnp if isinstance(picture, jax.Array) else np
    return xp.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)


def check_range(picture: Image) -> None:
    """Raises InputError for floats in [0, 1], which are a frequent mistake."""
    if picture.dtype == np.float32 and 0 < float(picture.max()) <= 1:
        raise InputError("image: float values are in [0, 255], and these are at most 1")


def likeness(image: Any, picture: Image) -> tuple[str, ...]:
    """What must stay the same, in words: size, channels, type."""
    shape = np.shape(image)
    channels = "RGB" if len(shape) == 3 and shape[2] == 3 else "grey"
    return f"{picture.shape[1]} x {picture.shape[0]} px", channels, str(picture.dtype)


def check_like(own: tuple[str, ...], first: tuple[str, ...]) -> None:
    """Compares what ``likeness`` says of an image and of the first one.

    Raises:
        InputError: they differ.
    """
    for mine, its in zip(own, first, strict=True):
        if mine != its:
            raise InputError(f"image: it is {mine}, but the first one was {its}")
