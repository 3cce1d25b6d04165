"""The error of this room, apart from the modules that need torch, so that commands can catch it cheaply."""


class WeightsError(ValueError):
    """Weights cannot be read, written or used; the message says what was expected and what to do."""
