"""How the answers of one org's forms become leads, in versions."""

from collections.abc import Mapping
from typing import Final

import attrs
import msgspec
from sqlalchemy import RowMapping, func, select

from moorage_adapters.sqlmodel.lead_mapping_tables import LEAD_MAPPING
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, among, value_of
from moorage_adapters.sqlmodel.types import clean, to_json
from moorage_ports.lead_mapping import DedupePolicy, FormMapping, MappingRule

_NEWEST_FIRST: Final = LEAD_MAPPING.c.version.desc()
_AT_ONCE: Final = 500  # a statement takes only so many values


@attrs.frozen(kw_only=True)
class _Rules:
    """What of a version lies in `rules_json`."""

    rules: tuple[MappingRule, ...] = ()
    required: tuple[str, ...] = ()
    dedupe: DedupePolicy = attrs.field(factory=DedupePolicy)
    region: str = ""


_decoder: Final = msgspec.json.Decoder(_Rules)


class SqlLeadMappings:
    """`moorage_ports.lead_mapping.LeadMappings` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def current(self, vendor: str, form_external_id: str) -> FormMapping | None:
        """The newest version."""
        return await self._gate.run(lambda org: _newest(org, vendor, form_external_id))

    async def of_forms(self, vendor: str, form_external_ids: frozenset[str]) -> Mapping[str, FormMapping]:
        """The newest version of each of these forms that has one."""
        ids = sorted(set(map(clean, form_external_ids)))

        def work(org: Tenant) -> dict[str, FormMapping]:
            found = (
                _mapping(row)
                for start in range(0, len(ids), _AT_ONCE)
                for row in _newest_of(org, vendor, ids[start : start + _AT_ONCE])
            )
            return {mapping.form_external_id: mapping for mapping in found}

        return await self._gate.run(work)

    async def version(self, vendor: str, form_external_id: str, number: int) -> FormMapping | None:
        """One version."""
        where = (*_of(vendor, form_external_id), LEAD_MAPPING.c.version == number)

        def work(org: Tenant) -> FormMapping | None:
            row = org.one(LEAD_MAPPING, *where)
            return None if row is None else _mapping(row)

        return await self._gate.run(work)

    async def versions(self, vendor: str, form_external_id: str) -> tuple[FormMapping, ...]:
        """All versions, the newest first."""
        where = _of(vendor, form_external_id)
        return await self._gate.run(
            lambda org: tuple(
                _mapping(row) for row in org.rows(LEAD_MAPPING, *where, order_by=(_NEWEST_FIRST,))
            )
        )

    async def add(self, mapping: FormMapping) -> bool:
        """Write the next version. Of two who write the same one at once, the key lets one through."""

        def work(org: Tenant) -> bool:
            newest = _newest(org, mapping.vendor, mapping.form_external_id)
            if mapping.version != (newest.version if newest else 0) + 1:
                return False
            return org.insert(LEAD_MAPPING, _values(mapping))

        return await self._gate.run(work)


def _of(vendor: str, form_external_id: str) -> tuple[Condition, Condition]:
    return (LEAD_MAPPING.c.vendor == vendor, LEAD_MAPPING.c.form_external_id == form_external_id)


def _newest(org: Tenant, vendor: str, form_external_id: str) -> FormMapping | None:
    rows = org.rows(LEAD_MAPPING, *_of(vendor, form_external_id), order_by=(_NEWEST_FIRST,), limit=1)
    return _mapping(rows[0]) if rows else None


def _newest_of(org: Tenant, vendor: str, form_external_ids: list[str]) -> list[RowMapping]:
    later = LEAD_MAPPING.alias("later")
    newest = (
        select(func.max(later.c.version))
        .where(
            later.c.org_id == org.org_id,
            later.c.vendor == vendor,
            later.c.form_external_id == LEAD_MAPPING.c.form_external_id,
        )
        .scalar_subquery()
    )
    return list(
        org.rows(
            LEAD_MAPPING,
            LEAD_MAPPING.c.vendor == vendor,
            among(LEAD_MAPPING.c.form_external_id, form_external_ids),
            LEAD_MAPPING.c.version == newest,
        )
    )


def _values(mapping: FormMapping) -> dict[str, object]:
    rules = _Rules(
        rules=mapping.rules, required=mapping.required, dedupe=mapping.dedupe, region=mapping.region
    )
    return {
        "vendor": mapping.vendor,
        "form_external_id": mapping.form_external_id,
        "version": mapping.version,
        "rules_json": to_json(rules),
        "saved_by": mapping.saved_by,
        "saved_at": mapping.saved_at,
    }


def _mapping(row: RowMapping) -> FormMapping:
    kept = _decoder.decode(row["rules_json"])
    return value_of(
        FormMapping,
        row,
        rules=kept.rules,
        required=kept.required,
        dedupe=kept.dedupe,
        region=kept.region,
    )
