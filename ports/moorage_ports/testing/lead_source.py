"""What every `LeadSource` promises."""

from datetime import datetime

import pytest

from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.lead_source import Lead, LeadSource
from moorage_ports.paging import iterate
from moorage_ports.plugin import Vendor
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.world import LeadWorld


class LeadSourceContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def lead_source(self, vendor: Vendor, connected: Connected) -> LeadSource:
        """The lead source of an org that one person connected."""
        assert vendor.lead_source is not None
        return vendor.lead_source(connected.context)

    async def _since(
        self, lead_source: LeadSource, world: LeadWorld, form_id: str, since: datetime
    ) -> list[Lead]:
        return [
            lead
            async for lead in iterate(
                lambda cursor: lead_source.leads_since(world.channel_external_id, form_id, since, cursor)
            )
        ]

    async def test_a_lead_says_what_the_person_wrote(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """Every answer arrives, whole, under its question, and the lead knows where it came from."""
        filled = await world.fill_in()

        lead = await lead_source.lead(world.channel_external_id, filled.lead_external_id)

        assert {answer.name: answer.values for answer in lead.answers} == filled.answers
        assert lead.external_id == filled.lead_external_id
        assert lead.form_external_id == filled.form_external_id
        assert lead.channel_external_id == world.channel_external_id

    async def test_a_leads_answers_are_not_printed(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """What people wrote must not reach a log by way of `repr`."""
        filled = await world.fill_in()

        printed = repr(await lead_source.lead(world.channel_external_id, filled.lead_external_id))

        assert not any(value in printed for values in filled.answers.values() for value in values)

    async def test_forms_ask_what_leads_answer(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """The form is listed with the questions whose keys the answers bear."""
        filled = await world.fill_in()

        forms = {form.external_id: form for form in await lead_source.forms(world.channel_external_id)}

        form = forms[filled.form_external_id]
        assert form.channel_external_id == world.channel_external_id
        assert {question.key for question in form.questions} >= set(filled.answers)

    async def test_every_lead_is_listed_once_over_all_pages(
        self, lead_source: LeadSource, world: LeadWorld, clock: FakeClock
    ) -> None:
        """Whoever stops at the first page loses leads."""
        since = clock.now() - A_WHILE
        filled = [await world.fill_in() for _ in range(5)]

        leads = await self._since(lead_source, world, filled[0].form_external_id, since)

        assert sorted(lead.external_id for lead in leads) == sorted(one.lead_external_id for one in filled)

    async def test_leads_before_since_are_left_out(
        self, lead_source: LeadSource, world: LeadWorld, clock: FakeClock
    ) -> None:
        """`since` is honoured, and includes its own moment."""
        await world.fill_in()
        await world.pass_time(A_WHILE)
        late = await world.fill_in()
        submitted = (await lead_source.lead(world.channel_external_id, late.lead_external_id)).submitted_at
        assert submitted is not None

        leads = await self._since(lead_source, world, late.form_external_id, submitted)

        assert [lead.external_id for lead in leads] == [late.lead_external_id]

    async def test_unknown_lead_is_not_found(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """`VendorNotFoundError`: it does not exist, or this grant may not see it."""
        with pytest.raises(VendorNotFoundError):
            await lead_source.lead(world.channel_external_id, NEVER_KEPT)

    async def test_a_channel_without_a_token_hits_the_channel_only(self, lead_source: LeadSource) -> None:
        """`ReauthorizationError` for one channel says nothing about the others."""
        with pytest.raises(ReauthorizationError) as failure:
            await lead_source.forms(NEVER_KEPT)

        assert failure.value.hits is Hits.CHANNEL

    async def test_revoked_grant_asks_for_reauthorization(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """`ReauthorizationError`: the lead waits until somebody connects again."""
        filled = await world.fill_in()
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await lead_source.lead(world.channel_external_id, filled.lead_external_id)
        with pytest.raises(ReauthorizationError):
            await lead_source.forms(world.channel_external_id)

    async def test_missing_scope_is_told_apart_from_a_lost_grant(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """`MissingScopeError`: the grant stands, but was given without leads."""
        filled = await world.fill_in()
        await world.withdraw_scopes()

        with pytest.raises(MissingScopeError):
            await lead_source.lead(world.channel_external_id, filled.lead_external_id)
        with pytest.raises(MissingScopeError):
            await lead_source.forms(world.channel_external_id)

    async def test_rate_limit_asks_for_patience(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """`RateLimitError`: the same lead can be read later."""
        filled = await world.fill_in()
        await world.limit(A_WHILE)

        with pytest.raises(RateLimitError):
            await lead_source.lead(world.channel_external_id, filled.lead_external_id)

    async def test_a_lost_answer_to_a_question_may_be_asked_again(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """Reading changes nothing, so silence and absence are the same: `VendorUnavailableError`."""
        filled = await world.fill_in()

        await world.drop_answers()
        with pytest.raises(VendorUnavailableError):
            await lead_source.lead(world.channel_external_id, filled.lead_external_id)
        await world.clear_up()
        await world.go_down()
        with pytest.raises(VendorUnavailableError):
            await lead_source.lead(world.channel_external_id, filled.lead_external_id)
        await world.clear_up()

        lead = await lead_source.lead(world.channel_external_id, filled.lead_external_id)
        assert lead.external_id == filled.lead_external_id
