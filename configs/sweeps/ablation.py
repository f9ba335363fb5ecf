"""The paper's ablation (its Figure 7): which layers, and how they are combined.

python -m hcft_jax.experiments.sweep --sweep=ablation --data_dir=OTB100

On VGG-19: all three layers coarse to fine ("all" in the figure), each one alone, the two deepest,
and one filter on the concatenation of the three (hypercolumn). The experiments are the shipped
configurations, so what ``hcft_jax.main`` has of them is taken, and the other way round.
"""

from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment


def get_sweep() -> list[Experiment]:
    """Differences are to ``hcft``."""
    return [settings.load(name) for name in ("hcft", "c5", "c4", "c3", "c5_c4", "c543")]
