"""The backbones by the names that the setting ``backbone`` takes.

A backbone's module is imported when the backbone is first asked for: their names alone, which
commands list, need no JAX.
"""

import importlib
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

from hcft_jax.util.errors import SettingError

if TYPE_CHECKING:
    from hcft_jax.backbones.backbone import Backbone

DEFAULT = "vgg19"


class Backbones(MutableMapping[str, "Backbone"]):
    """The backbones by name; the value is a ``Backbone``, or until it is needed where it is.

    Attributes:
        held: By name, a ``Backbone`` or ``module.NAME`` of this package.
    """

    def __init__(self, **held: "str | Backbone") -> None:
        """Take where the backbones are, by name."""
        self.held = held

    def __getitem__(self, name: str) -> "Backbone":
        found = self.held[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(".")
            found = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
            self.held[name] = found
        return found

    def __setitem__(self, name: str, backbone: "Backbone") -> None:
        self.held[name] = backbone

    def __delitem__(self, name: str) -> None:
        del self.held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def __contains__(self, name: object) -> bool:
        return name in self.held


BACKBONES = Backbones(
    vgg19="vgg.BACKBONE",
    alexnet="alexnet.BACKBONE",
    efficientnet_lite0="efficientnet.BACKBONE",
    hog="handmade.HOG",
    grey="handmade.GREY",
)

MEANING = f"the network whose maps are tracked on: {', '.join(BACKBONES)}"  # of --backbone


def get(name: str) -> "Backbone":
    """Return the backbone with a name.

    Raises:
        SettingError: There is no such backbone; the message lists all of them.
    """
    if name not in BACKBONES:
        raise SettingError("backbone", f"no {name!r}; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]
