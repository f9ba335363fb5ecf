"""Files of network parameters: the native format, foreign ones, look-up and checks."""
