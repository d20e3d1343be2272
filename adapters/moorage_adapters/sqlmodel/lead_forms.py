"""Forms of one org as they were last read at their vendor."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
from sqlalchemy import ColumnElement, RowMapping

from moorage_adapters.sqlmodel.lead_form_tables import LEAD_FORM
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant
from moorage_adapters.sqlmodel.types import clean, to_json
from moorage_ports.lead_forms import KnownForm
from moorage_ports.lead_source import Consent, LeadCounts, LeadForm, Option, Question

_KEY: Final = ("org_id", "vendor", "channel_external_id", "form_external_id")
_BY_KEY: Final = tuple(LEAD_FORM.c[name] for name in _KEY[1:])
_questions: Final = msgspec.json.Decoder(tuple[Question, ...])
_consents: Final = msgspec.json.Decoder(tuple[Consent, ...] | None)
_counts: Final = msgspec.json.Decoder(LeadCounts)


class SqlLeadForms:
    """`moorage_ports.lead_forms.LeadForms` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def save_all(self, forms: Sequence[KnownForm]) -> None:
        """Insert or replace (one per channel and form); what was read later stays."""
        if not forms:
            return
        rows = {
            (known.vendor, clean(known.form.channel_external_id), clean(known.form.external_id)): _row(known)
            for known in sorted(forms, key=lambda known: known.read_at)
        }
        in_order = [row for _, row in sorted(rows.items())]  # others may write the same ones
        await self._gate.run(lambda org: org.upsert_all(LEAD_FORM, in_order, _KEY, _replaced, _is_newer))

    async def get(self, vendor: str, form_external_id: str) -> KnownForm | None:
        """One form; if several channels have it, as it was read last."""
        where = (LEAD_FORM.c.vendor == vendor, LEAD_FORM.c.form_external_id == clean(form_external_id))
        order = (LEAD_FORM.c.read_at.desc(), LEAD_FORM.c.channel_external_id)

        def work(org: Tenant) -> KnownForm | None:
            rows = org.rows(LEAD_FORM, *where, order_by=order, limit=1)
            return _known(rows[0]) if rows else None

        return await self._gate.run(work)

    async def all(self) -> tuple[KnownForm, ...]:
        """Every form, by vendor, channel and the vendor's id."""
        return await self._gate.run(
            lambda org: tuple(_known(row) for row in org.rows(LEAD_FORM, order_by=_BY_KEY))
        )

    async def names(self) -> Mapping[tuple[str, str], str]:
        """What forms are called, by (vendor, the vendor's id); if several channels have one, as read last."""
        columns = ("vendor", "form_external_id", "name")
        order = (LEAD_FORM.c.read_at, LEAD_FORM.c.channel_external_id.desc())

        def work(org: Tenant) -> dict[tuple[str, str], str]:
            rows = org.rows(LEAD_FORM, order_by=order, columns=columns)
            return {(row["vendor"], row["form_external_id"]): row["name"] for row in rows}

        return await self._gate.run(work)

    async def keep_only(
        self, vendor: str, channel_external_id: str, form_external_ids: Collection[str]
    ) -> None:
        """The channel has these forms and no others: those that are gone are forgotten."""
        where = (
            LEAD_FORM.c.vendor == vendor,
            LEAD_FORM.c.channel_external_id == clean(channel_external_id),
            LEAD_FORM.c.form_external_id.not_in(list(map(clean, form_external_ids))),
        )
        await self._gate.run(lambda org: org.delete(LEAD_FORM, *where))


def _row(known: KnownForm) -> dict[str, Any]:
    form = known.form
    return {
        "vendor": known.vendor,
        "channel_external_id": form.channel_external_id,
        "form_external_id": form.external_id,
        "name": form.name,
        "status": form.status,
        "locale": form.locale,
        "questions_json": to_json(tuple(map(_clean_question, form.questions))),
        "consents_json": to_json(tuple(map(_clean_consent, form.consents)) if form.knows_consents else None),
        "counts_json": None if form.counts is None else to_json(form.counts),
        "read_at": known.read_at,
    }


def _clean_question(question: Question) -> Question:
    return attrs.evolve(
        question,
        key=clean(question.key),
        label=clean(question.label),
        options=tuple(Option(key=clean(one.key), label=clean(one.label)) for one in question.options),
    )


def _clean_consent(consent: Consent) -> Consent:
    return attrs.evolve(consent, key=clean(consent.key), text=clean(consent.text))


def _known(row: RowMapping) -> KnownForm:
    counts, consents = row["counts_json"], _consents.decode(row["consents_json"])
    form = LeadForm(
        external_id=row["form_external_id"],
        channel_external_id=row["channel_external_id"],
        name=row["name"],
        status=row["status"],
        locale=row["locale"],
        questions=_questions.decode(row["questions_json"]),
        consents=consents or (),
        counts=None if counts is None else _counts.decode(counts),
        knows_consents=consents is not None,
    )
    return KnownForm(vendor=row["vendor"], form=form, read_at=row["read_at"])


def _replaced(excluded: Any) -> dict[str, ColumnElement[Any]]:
    return {name: excluded[name] for name in LEAD_FORM.c.keys() if name not in _KEY}  # noqa: SIM118


def _is_newer(excluded: Any) -> Condition:
    newer: Condition = excluded.read_at >= LEAD_FORM.c.read_at
    return newer
