"""The mapper: each lead by the newest mapping of its own form, with that mapping's policy."""

from datetime import UTC, datetime
from pathlib import Path

import attrs

from moorage.leads.hearing import HeardLead
from moorage.leads.mapping import Mapper
from moorage_ports.events import LeadArrived
from moorage_ports.lead_mapping import DedupePolicy, FormMapping, MappingRule
from moorage_ports.lead_source import Answer, Lead, Meaning
from tests.support.harbour import ADMIN, harbour

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
FIRST = FormMapping(
    vendor="memory",
    form_external_id="with",
    version=1,
    rules=(MappingRule(target="company", sources=("correo",)),),
    saved_at=NOW,
)
SECOND = attrs.evolve(
    FIRST,
    version=2,
    rules=(MappingRule(target="email", sources=("correo",)),),
    dedupe=DedupePolicy(by=("email",), then="link"),
)
ANSWERS = (
    Answer(name="correo", values=("ada@harbour.example",)),
    Answer(name="nombre", values=("Ada",), meaning=Meaning.FIRST_NAME),
)


def lead_of(form: str) -> Lead:
    return Lead(external_id=f"of {form}", channel_external_id="1", form_external_id=form, answers=ANSWERS)


def heard_of(mapper: Mapper, lead: Lead) -> HeardLead:
    event = LeadArrived(
        channel_external_id="1",
        lead_external_id=lead.external_id,
        form_external_id=lead.form_external_id,
        occurred_at=NOW,
    )
    return mapper.heard(HeardLead(vendor="memory", event=event), lead, lead_id="ours", fetched_at=NOW)


async def test_each_lead_is_mapped_by_the_newest_version_of_its_form(tmp_path: Path) -> None:
    leads = [lead_of(form) for form in ("with", "without", "", "\x00\ud800")]
    async with harbour(tmp_path) as host:
        async with host.services.storage.unit_of_work(ADMIN.org_id) as uow:
            assert await uow.lead_mappings.add(FIRST)
            assert await uow.lead_mappings.add(SECOND)
        mapper = await Mapper.of(host.services, ADMIN.org_id, "memory", leads)
        by_rules, *by_meaning = (heard_of(mapper, lead) for lead in leads)
        elsewhere = await Mapper.of(host.services, "another-org", "memory", leads)

    assert by_rules.policy == SECOND.dedupe
    assert by_rules.lead is not None
    assert (by_rules.lead.email, by_rules.lead.mapping_version) == ("ada@harbour.example", 2)
    assert by_rules.lead.properties == {"nombre": ("Ada",)}
    assert by_rules.lead.answers == ANSWERS
    for heard in by_meaning:
        assert heard.policy is None
        assert heard.lead is not None
        assert (heard.lead.first_name, heard.lead.mapping_version) == ("Ada", 0)
    assert not elsewhere.mappings
