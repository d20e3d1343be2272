"""A string that must never be printed, logged, pickled or sent by accident."""

import hmac
from typing import NoReturn

_REDACTED = "Secret(…)"


class Secret:
    """Plaintext in quarantine: every way of showing it redacts, except `reveal`.

    `reveal` belongs at the last step before the wire (an HTTP header, a cipher, a signature).
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plaintext."""
        return self._value

    def __repr__(self) -> str:
        return _REDACTED

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return _REDACTED

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        msg = "a Secret can't be pickled or copied"
        raise TypeError(msg)
