"""`Withdrawals`: how a vendor tells us, signed, that a person or a channel took the app away."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.secret import Secret
from moorage_ports.values import is_aware
from moorage_ports.webhooks import VendorApp


@attrs.frozen(kw_only=True)
class Withdrawal:
    """Who took what away from which app: a person everything they granted, or a channel itself."""

    app: VendorApp
    subject: Secret | None = None  # the person, as this app knows them
    channel_external_id: str = ""
    issued_at: datetime = attrs.field(validator=is_aware)  # what was granted after it stands


class Withdrawals(Protocol):
    """Reads such messages. Pure: no network, no clock of its own, no store."""

    def read(self, body: bytes, apps: Sequence[VendorApp], *, now: datetime) -> Withdrawal:
        """What `body` says, once one of `apps` is proven to have signed it.

        Raises:
            SignatureError: None did, the message is not a fresh one, or it names nobody.
        """
        ...
