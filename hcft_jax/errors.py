"""The one exception for a user's mistake."""


class InputError(Exception):
    """Bad input: a file, a folder, a flag or a value that the caller can mend.

    The message is one line that names the file, line or flag and says what to do. The command
    lines print it without a traceback and exit with status 2.
    """
