"""What a test is told when a server cannot be had."""


class ServerMissingError(Exception):
    """A server cannot be started here; the message says what was looked for and what would help."""
