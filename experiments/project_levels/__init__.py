"""Projections of a network's levels to fewer or whitened channels, computed from photos."""
