"""The exhibits of the paper (Ma et al., ICCV 2015); one function makes each of them from data.

``scores``: Table 1, Figures 5 and 6. ``layer_ablation``: Figure 7. ``tracked_frames``: Figures 8
and 9. ``activations``: Figures 2 and 4. ``remedies``: what the paper proposes for its failures. The
functions return tables, figures or arrays; ``python -m hcft_jax.experiments.exhibits`` writes them.
"""

from typing import NamedTuple

from hcft_jax.util.errors import InputError

EIGHT = ("IV", "SV", "OCC", "DEF", "FM", "IPR", "BC", "LR")
"""The attributes of the paper's Figure 6, which are its default."""
FRAMES = {
    "figure4": ("MotorRolling",),
    "figure8": ("MotorRolling", "Bolt2", "CarScale", "David", "Deer", "Girl"),
    "figure9": ("Singer2", "Lemming", "Girl2"),
}
"""The sequences of the figures with frames where none are named; those that are lacking are left
out."""


class Remedy(NamedTuple):
    """A shipped configuration and the sequences that it should help on."""

    config: str
    sequences: tuple[str, ...]
    original: str = "hcft"


REMEDIES = {
    "first_layer": Remedy("first_layer", ("Singer2",)),
    "slow_update": Remedy("slow_update", ("Lemming", "Girl2")),
    "hcft_plus": Remedy("hcft_plus", ("Singer2", "Lemming", "Girl2")),
}
"""The paper's two remedies, and ours, by name."""


class NothingToShow(InputError):
    """The data do not suffice for an exhibit, although nothing is wrong with them."""
