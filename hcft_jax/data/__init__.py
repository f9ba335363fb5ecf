"""Sequences to track in: data sets and their layouts, images, videos and drawn sequences."""
