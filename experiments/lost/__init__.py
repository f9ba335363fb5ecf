"""Calibrate when a target is lost: ``python -m hcft_jax.experiments.lost``."""
