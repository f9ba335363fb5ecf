"""HCFT (Ma et al., ICCV 2015) as one compiled, batched, differentiable JAX program."""
