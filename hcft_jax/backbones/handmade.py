"""Features without a network: fHOG and grey values of the search window's own pixels.

With them KCF, DCF, CSK and DSST are configurations of this program. There is nothing to train and
no file; the maps have the response grid's own cells, of 4 px or 1 px, whatever the target's size.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.backbones.fhog import fhog

BRIGHTNESS = (0.2989, 0.587, 0.114)  # MATLAB's rgb2gray: of red, green and blue


def brightness(image: jax.Array) -> jax.Array:
    """Return MATLAB's ``rgb2gray`` of RGB ``[..., 3]`` in [0, 255], rounded to whole numbers.

    Args:
        image: of any floating type.
    """
    red, green, blue = (image[..., i] * weight for i, weight in enumerate(BRIGHTNESS))
    return jnp.round(red + green + blue)


def features(
    params: Params, image: jax.Array, layers: Sequence[str], size: Any
) -> dict[str, jax.Array]:
    """Return the named maps of a search window.

    * ``hog_4``: all 31 channels of fHOG of the grey values in [0, 1], cells of 4 px (KCF);
    * ``hog_1``: its 27 channels of orientations, of the colours in [0, 255], cells of 1 px (DSST);
    * ``grey``: grey values in [-0.5, 0.5], cells of 1 px (CSK, DSST);
    * ``centred``: grey values in [0, 1] minus their mean (KCF on grey values).

    Args:
        params: nothing.
        image: RGB ``[..., H, W, 3]`` in [0, 255].
        layers: names of maps.
        size: int32 ``[..., 2]``, (height, width) of the image without padding; None: all of it.
    """
    if image.ndim > 3:
        each = jax.vmap(lambda one, own: features(params, one, layers, own))
        return each(image, jnp.broadcast_to(_whole(image, size), (*image.shape[:-3], 2)))
    size = _whole(image, size)
    grey = brightness(image) / 255.0
    maps = {}
    for name in layers:
        if name == "hog_4":
            maps[name] = fhog(grey, 4, size)
        elif name == "hog_1":
            maps[name] = fhog(image, 1, size)[..., :27]
        else:
            inside = _inside(grey.shape, size)
            mean = jnp.sum(jnp.where(inside, grey, 0.0)) / jnp.sum(inside.astype(grey.dtype))
            value = grey - (mean if name == "centred" else 0.5)
            maps[name] = jnp.where(inside, value, 0.0)[..., None]
    return maps


def _whole(image: jax.Array, size: Any) -> jax.Array:
    return jnp.array(image.shape[-3:-1], jnp.int32) if size is None else jnp.asarray(size)


def _inside(shape: tuple[int, ...], size: jax.Array) -> jax.Array:
    rows, columns = (
        jnp.arange(n, dtype=jnp.int32) < own for n, own in zip(shape, size, strict=True)
    )
    return rows[:, None] & columns[None, :]


def _backbone(name: str, title: str, cells: dict[str, int]) -> Backbone:
    return Backbone(
        name=name,
        title=title,
        layers=tuple(cells),
        features=features,
        shapes=lambda _: {},
        side=lambda layer, size: size // cells[layer],
        input_size=lambda _: 0,
        environment="",
        cells=cells,
        chain=False,
    )


HOG = _backbone("hog", "fHOG", {"grey": 1, "hog_1": 1, "hog_4": 4})
GREY = _backbone("grey", "grey values", {"centred": 1, "grey": 1})
