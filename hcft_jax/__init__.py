"""HCFT (Ma et al., ICCV 2015) as one compiled, batched, differentiable JAX program."""

__version__ = "0.1.0"
