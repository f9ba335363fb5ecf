"""Our tracker in other toolkits: that of GOT-10k, and all that speak TraX, such as that of VOT."""
