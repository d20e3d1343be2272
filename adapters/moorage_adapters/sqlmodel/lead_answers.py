"""What people answered to a form, as it lies in a lead's row: sealed under the org's key."""

from typing import Final

import attrs
import msgspec

from moorage_adapters.sqlmodel.tenant import Tenant
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.crm import CrmLead
from moorage_ports.lead_source import Answer, Consent


@attrs.frozen
class _Told:
    answers: tuple[Answer, ...] = ()
    consents: tuple[Consent, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Told)


def seal_answers(org: Tenant, lead: CrmLead) -> bytes | None:
    """The lead's answers and consents; `None` if it has none."""
    if not (lead.answers or lead.consents):
        return None
    return org.seal(_encoded(_Told(lead.answers, lead.consents)), *_context(lead.id))


def open_answers(
    org: Tenant, lead_id: str, sealed: bytes | None
) -> tuple[tuple[Answer, ...], tuple[Consent, ...]]:
    """What was sealed for that lead.

    Raises:
        SealError: It does not open as that.
    """
    if not sealed:
        return (), ()
    told = _decoder.decode(org.open(bytes(sealed), *_context(lead_id)))
    return told.answers, told.consents


def _context(lead_id: str) -> tuple[str, ...]:
    return ("lead", lead_id, "answers")


def _encoded(told: _Told) -> bytes:
    try:
        return msgspec.json.encode(told)
    except UnicodeEncodeError:  # a lone surrogate somewhere: nobody typed that
        return msgspec.json.encode(
            _Told(
                tuple(
                    attrs.evolve(one, name=clean(one.name), values=tuple(map(clean, one.values)))
                    for one in told.answers
                ),
                tuple(attrs.evolve(one, key=clean(one.key), text=clean(one.text)) for one in told.consents),
            )
        )
