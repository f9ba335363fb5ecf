"""The exhibits of the paper (Ma et al., ICCV 2015), each made from data by one function.

``scores``: Table 1, Figures 5 and 6. ``ablation``: Figure 7. ``tracked``: Figures 8 and 9.
``activations``: Figures 2 and 4. ``remedies``: what the paper proposes for its failures. The
functions return tables, figures or arrays; ``python -m hcft_jax.experiments.exhibits`` writes them.
"""

from hcft_jax.util.errors import InputError


class NothingToShow(InputError):
    """There is no material for an exhibit, and nothing is wrong with what there is."""
