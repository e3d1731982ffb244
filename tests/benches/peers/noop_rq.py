"""An RQ job that does nothing."""


def noop():
    """Does nothing."""
