"""The experiment ``throughput``: its command is ``python -m hcft_jax.experiments.throughput``."""
