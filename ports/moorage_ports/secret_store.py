"""`SecretStore`: sealed bytes in, the same bytes out. What a vendor's vault is built on."""

from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.secret import Secret


@attrs.frozen(kw_only=True)
class SecretRef:
    """Where a secret hangs: which kind of thing owns it, which one, and which field of it."""

    owner_type: str = attrs.field(validator=min_len(1))
    owner_id: str = attrs.field(validator=min_len(1))
    field: str = attrs.field(validator=min_len(1))


@attrs.frozen(kw_only=True)
class OpenedSecret:
    """A secret and the version it was read at (1, 2, 3 …), for compare-and-set."""

    value: Secret
    version: int


class SecretStore(Protocol):
    """Secrets of one org and one vendor, sealed under that org's own key.

    What is put inside a unit of work becomes durable with it. There is no way to read another org's.
    """

    async def put(self, ref: SecretRef, value: Secret, *, expected_version: int | None = None) -> int:
        """Seal `value` and answer its new version; `expected_version` 0 means: only if there is none.

        Raises:
            ConflictError: `expected_version` is not the stored one; nothing was written.
        """
        ...

    async def get(self, ref: SecretRef) -> OpenedSecret | None:
        """The secret, or `None` if nothing is kept there.

        Raises:
            SealError: What is kept there does not open: it was changed, moved, or its key is gone.
        """
        ...

    async def forget(self, *, owner_type: str, owner_id: str) -> int:
        """Delete everything that this owner has; answers how many secrets that were."""
        ...


class SealError(Exception):
    """A sealed value does not open. One opaque error: it says neither why nor what was inside."""
