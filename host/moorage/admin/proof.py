"""What asks for a recent password, and from which pages it is done: a signed-in browser is not enough.

Whoever finds an open browser may look, answer and post. To take data along, to remove it for good, to have it
sent somewhere else or to change with which keys, they have to know the password as well.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from moorage.admin.desk import BACK, Visit

_MOST_FIELDS: Final = 600  # as many ids as a replay takes, and some
_ID: Final = r"[A-Za-z0-9_-]{1,128}"
_ENDPOINT: Final = rf"/admin/operations/handover/{_ID}"


@attrs.frozen(kw_only=True)
class Act:
    """Something that asks for a recent password."""

    name: str
    words: str  # what is about to be done: "You are about to …"
    home: str  # the page from which it is done, when nothing better is known
    pages: str = r"(?!)"  # a pattern: the others
    keeps: frozenset[str] = frozenset()  # what the address of such a page may say
    part: str = ""  # of the page

    def page(self, asked: str) -> str:
        """The page to go back to: one of ours, made anew from what of `asked` we know; else `home`."""
        try:
            parts = urlsplit(asked)
            said = parse_qsl(parts.query, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return self.home
        is_page = parts.path == self.home or re.fullmatch(self.pages, parts.path)
        if parts.scheme or parts.netloc or not is_page:
            return self.home
        kept = urlencode([(name, text) for name, text in said if name in self.keeps])
        return f"{parts.path}?{kept}" if kept else parts.path

    def page_again(self, asked: str) -> str:
        """The same page for somebody who has confirmed: it says so, at its part that does the act."""
        page = self.page(asked)
        return f"{page}{'&' if '?' in page else '?'}{BACK}=1{self.part}"


REPLAY: Final = Act(
    name="replay",
    words="have deliveries worked on again",
    home="/admin/operations",
    pages=r"/admin|/admin/operations/replay|/admin/leads/ledger/replay",
    keeps=frozenset(
        {"ids", "vendor", "kind", "error", "formId", "since", "until", "state", "back"}
        | {"outcome", "form", "way", "tests", "trouble"}
    ),
)
SEND_AGAIN: Final = Act(
    name="send-again",
    words="send messages about leads again",
    home="/admin/operations/handover",
    pages=_ENDPOINT,
    keeps=frozenset({"state", "p"}),
    part="#messages",
)
EXPORT: Final = Act(
    name="export",
    words="take leads along as a file",
    home="/admin/leads",
    keeps=frozenset({"q", "status", "form", "tests", "since", "until", "take"}),
)
ERASE: Final = Act(
    name="erase",
    words="erase a person for good",
    home="/admin/operations/privacy",
    pages=r"/admin/operations/privacy/erase",
    keeps=frozenset({"lead", "contact", "only"}),
)
SHORTEN: Final = Act(
    name="shorten",
    words="keep data for a shorter time: what is older is removed",
    home="/admin/operations/privacy",
    pages=r"/admin/operations/privacy/retention",
    keeps=frozenset({"leadDays", "personDays", "deliveryDays", "waitingDays"}),
)
ROTATE: Final = Act(
    name="rotate",
    words="make a new secret for an endpoint",
    home="/admin/operations/handover",
    pages=_ENDPOINT,
    keeps=frozenset({"keep"}),
    part="#secret",
)
DELETE: Final = Act(
    name="delete",
    words="delete an endpoint with its secret and its messages",
    home="/admin/operations/handover",
    pages=_ENDPOINT,
    part="#switch",
)
ADD: Final = Act(
    name="add",
    words="have leads sent to another address",
    home="/admin/operations/handover",
    part="#add",
)
MOVE: Final = Act(
    name="move",
    words="have leads sent to another address",
    home="/admin/operations/handover",
    pages=_ENDPOINT,
    part="#settings",
)

ACTS: Final[Mapping[str, Act]] = {
    act.name: act for act in (REPLAY, SEND_AGAIN, EXPORT, ERASE, SHORTEN, ROTATE, DELETE, ADD, MOVE)
}


class ProofNeededError(Exception):
    """The person gave their password too long ago for that; nothing was done.

    No `MoorageError`: what tells one of those on its own page must not tell this one there.
    """

    def __init__(self, act: Act, page: str) -> None:
        super().__init__("the password was given too long ago")
        self.act = act
        self.page = page


def needs_proof(visit: Visit, act: Act, page: str = "") -> None:
    """Go on only if the person gave their password a short while ago; `page` is where they press again.

    Raises:
        ProofNeededError: They did not.
    """
    if not visit.is_proven:
        raise ProofNeededError(act, page)


def confirm_path(act: Act, page: str = "") -> str:
    """The page that asks for the password, for an act done from that page."""
    return "/admin/confirm?" + urlencode({"act": act.name, "next": act.page(page)})
