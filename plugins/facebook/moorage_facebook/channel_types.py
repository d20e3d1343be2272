"""The kinds of channels that one grant brings, and what those other than Pages are good for here."""

from collections.abc import Mapping
from typing import Final

from moorage_ports.capabilities import Capability

PAGE: Final = "page"
INSTAGRAM: Final = "instagram"  # an Instagram account that is linked to a Page
WHATSAPP: Final = "whatsapp"  # a phone number of a WhatsApp business account

GOOD_FOR: Final[Mapping[str, frozenset[Capability]]] = {
    INSTAGRAM: frozenset({Capability.SYNC_ACTIVITY, Capability.ANSWER_COMMENTS, Capability.DIRECT_MESSAGES}),
    WHATSAPP: frozenset({Capability.DIRECT_MESSAGES}),
}
