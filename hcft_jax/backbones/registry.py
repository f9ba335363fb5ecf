"""The backbones by the names that the setting ``backbone`` takes."""

from hcft_jax.backbones import alexnet, efficientnet, handmade, vgg
from hcft_jax.backbones.backbone import Backbone
from hcft_jax.util.errors import SettingError

DEFAULT = vgg.BACKBONE.name

BACKBONES: dict[str, Backbone] = {
    b.name: b
    for b in (
        vgg.BACKBONE,
        alexnet.BACKBONE,
        efficientnet.BACKBONE,
        handmade.HOG,
        handmade.GREY,
    )
}


def get(name: str) -> Backbone:
    """Return the backbone with a name.

    Raises:
        SettingError: There is no such backbone; the message lists all of them.
    """
    if name not in BACKBONES:
        raise SettingError("backbone", f"no {name!r}; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]
