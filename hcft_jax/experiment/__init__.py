"""What an experiment is: its settings, flags, configuration files and sweeps."""
