"""The tracker's constants as a pytree.

``TrackerConfig`` is a frozen dataclass and a pytree: gamma, eta, lambda, sigma, the radius and the
temperature are its leaves, hence traced (a new value needs no new compilation and can be
differentiated or batched); everything else is static. Its fields are in ``choices``.
"""

from dataclasses import fields

import jax

from hcft_jax.core.choices import TrackerConfig as TrackerConfig

jax.tree_util.register_dataclass(
    TrackerConfig,
    data_fields=[f.name for f in fields(TrackerConfig) if f.metadata["traced"]],
    meta_fields=[f.name for f in fields(TrackerConfig) if not f.metadata["traced"]],
)
