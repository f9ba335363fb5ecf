"""Learning through the correlation filter."""
