"""The backbones by name: what --backbone may be."""

from hcft_jax.backbones import alexnet, compact, vgg
from hcft_jax.backbones.backbone import Backbone
from hcft_jax.util.errors import InputError

DEFAULT = vgg.BACKBONE.name

BACKBONES: dict[str, Backbone] = {
    b.name: b for b in (vgg.BACKBONE, alexnet.BACKBONE, compact.BACKBONE)
}


def get(name: str) -> Backbone:
    """The backbone of a name.

    Raises:
        InputError: there is none; it lists those there are.
    """
    if name not in BACKBONES:
        raise InputError(f"--backbone: no {name!r}; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]
