"""Scripts that use the package as its users would; installed as ``hcft_jax.experiments``."""
