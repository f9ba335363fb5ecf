"""Tracking in one video of the user's own, and the GUI to draw a box in and to watch with."""
