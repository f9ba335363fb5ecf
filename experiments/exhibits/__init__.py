"""The exhibits of the paper (Ma et al., ICCV 2015); one function makes each of them from data.

``scores``: Table 1, Figures 5 and 6. ``layer_ablation``: Figure 7. ``tracked_frames``: Figures 8
and 9. ``activations``: Figures 2 and 4. ``remedies``: what the paper proposes for its failures. The
functions return tables, figures or arrays; ``python -m hcft_jax.experiments.exhibits`` writes them.
"""

from hcft_jax.util.errors import InputError


class NothingToShow(InputError):
    """The data do not suffice for an exhibit, although nothing is wrong with them."""
