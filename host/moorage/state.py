"""States and tickets: strings of ours that travel through a browser and come back.

`v1.<kid>.<random>.<HMAC>`. The HMAC lets junk be refused without a look at the database; what the string
stands for (whose connection, for which vendor, until when) is never in it: the stored row decides that.
"""

import hmac
import re
import secrets
from hashlib import sha256

import attrs
from attrs.validators import min_len

from moorage_ports.errors import InvalidStateError
from moorage_ports.secret import Secret

_VERSION = "v1"
# Hex, not base64: base64 leaves spare bits at the end, so that two strings can stand for the same bytes.
_SHAPE = re.compile(r"v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{43})\.([0-9a-f]{64})", re.ASCII)


def random_id() -> str:
    """256 random bits, URL-safe: the part of a state that nobody can guess."""
    return secrets.token_urlsafe(32)


@attrs.frozen
class StateSigner:
    """Signs and reads such strings; the first secret signs, all of them are accepted while one is rotated."""

    keys: tuple[Secret, ...] = attrs.field(validator=min_len(1))

    def sign(self, purpose: str, identifier: str, *bound: str) -> str:
        """The string that stands for `identifier`, good for `purpose` and whatever else it is bound to."""
        kid = _kid(self.keys[0])
        return ".".join((_VERSION, kid, identifier, _mac(self.keys[0], purpose, identifier, *bound)))

    def read(self, purpose: str, text: str, *bound: str) -> str:
        """The identifier that `text` stands for.

        Raises:
            InvalidStateError: Not a string of ours, or not for this purpose, or bound to something else.
        """
        shape = _SHAPE.fullmatch(text)
        if shape is None:
            raise _not_ours()
        kid, identifier, mac = shape.groups()
        for key in self.keys:
            expected = _mac(key, purpose, identifier, *bound)
            if hmac.compare_digest(kid, _kid(key)) and hmac.compare_digest(mac, expected):
                return identifier
        raise _not_ours()


def _mac(key: Secret, *parts: str) -> str:
    """Each part with its length before it: no two lists of parts make the same message."""
    encoded = [part.encode() for part in (_VERSION, _kid(key), *parts)]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    return hmac.new(key.reveal().encode(), message, sha256).hexdigest()


def _kid(key: Secret) -> str:
    """Which secret signed: derived from it, so that nobody has to number secrets."""
    return hmac.new(key.reveal().encode(), b"moorage state kid", sha256).hexdigest()[:8]


def _not_ours() -> InvalidStateError:
    return InvalidStateError("this state or ticket was not handed out here")
