"""What the library ships: configurations by name (``--config``) and sweeps (``--sweep``)."""
