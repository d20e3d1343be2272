"""Our own ids: random, opaque, safe in a URL."""

from uuid import uuid4


def new_id() -> str:
    """An id that nobody has used and nobody can guess."""
    return uuid4().hex
