"""`Withdrawals`: how a vendor tells us, signed, that somebody took the app away or wants to be forgotten."""

from collections.abc import Mapping, Sequence
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

    def deletion_answer(self, *, status_url: str, code: str) -> Mapping[str, str]:
        """What the vendor wants to hear when it passes on that a person wants all of their data deleted.

        Such a message is read as one that they left is. `status_url` is where they see how far it is, and
        `code`, letters and digits, what they are told to ask by.
        """
        ...
