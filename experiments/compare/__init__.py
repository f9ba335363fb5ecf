"""Compare results with published trackers: ``python -m hcft_jax.experiments.compare``."""
