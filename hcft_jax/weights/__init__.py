"""Files of network parameters: the native format, importers, look-up and self-test."""
