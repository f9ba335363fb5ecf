"""Named configurations: what ``--config`` knows."""
