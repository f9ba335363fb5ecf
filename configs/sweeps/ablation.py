"""The paper's ablation (its Figure 7): which layers, and how they are combined.

python -m hcft_jax.experiments.sweep --sweep=ablation --data_dir=OTB100

On VGG-19: all three layers coarse to fine ("all" in the figure), each one alone, the two deepest,
and one filter on the concatenation of the three (hypercolumn). The experiments are the shipped
configurations, so this sweep and ``hcft_jax.main`` take each other's results.
"""

from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment


def get_sweep() -> list[Experiment]:
    """Return the ablation; differences are to ``hcft``."""
    return [settings.load(name) for name in ("hcft", "c5", "c4", "c3", "c5_c4", "c543")]
