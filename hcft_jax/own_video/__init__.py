"""Tracking in a video of your own, and its windows."""
