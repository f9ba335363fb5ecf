"""The experiment ``lost``: its command is ``python -m hcft_jax.experiments.lost``."""
