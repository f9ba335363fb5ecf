"""How fast the tracker is: ``python -m hcft_jax.experiments.throughput``."""
