"""How a run is refused before it starts work: one message, no traceback."""

from click import ClickException


class RunRefusedError(ClickException):
    """The run would fail, or ignore what it was told. The message says what and how to go on."""
