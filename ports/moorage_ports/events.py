"""Neutral events: what a webhook or a sync says happened, in words of no vendor.

A plugin translates a `Change` into events with pure functions; the host applies them. What nobody
mapped becomes `Unmapped`, keeps `raw`, and is counted, never refused.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

import attrs
from attrs.validators import min_len

from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class LeadArrived:
    """Somebody submitted a lead form. A notification only: answers are fetched through `LeadSource`."""

    lead_external_id: str = attrs.field(validator=min_len(1))
    channel_external_id: str = attrs.field(validator=min_len(1))
    form_external_id: str = ""
    ad_external_id: str = ""
    occurred_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class Unmapped:
    """Something happened that no translator knows; `kind` is the vendor's own name for it."""

    kind: str
    raw: Mapping[str, object] = attrs.field(repr=False)


Event: TypeAlias = LeadArrived | Unmapped
