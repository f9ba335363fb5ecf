"""Named sweeps: what ``--sweep`` knows."""
