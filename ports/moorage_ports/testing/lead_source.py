"""What every `LeadSource` promises."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.lead_source import Lead, LeadSource
from moorage_ports.paging import iterate
from moorage_ports.plugin import Vendor
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.lent import BEGINNING, FakeClock
from moorage_ports.testing.world import FilledIn, LeadWorld


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

    def _readings(
        self, lead_source: LeadSource, world: LeadWorld, filled: FilledIn
    ) -> tuple[Callable[[], Awaitable[object]], ...]:
        """Everything that reads, ready to be called."""
        channel, form_id = world.channel_external_id, filled.form_external_id
        return (
            lambda: lead_source.forms(channel),
            lambda: lead_source.form(channel, form_id),
            lambda: lead_source.lead(channel, filled.lead_external_id),
            lambda: lead_source.leads_since(channel, form_id, BEGINNING - A_WHILE),
        )

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

    async def test_leads_from_until_on_are_left_out(
        self, lead_source: LeadSource, world: LeadWorld, clock: FakeClock
    ) -> None:
        """`until` ends a stretch: the next one begins there, and no lead is in both."""
        since = clock.now() - A_WHILE
        early = await world.fill_in()
        await world.pass_time(A_WHILE)
        until = clock.now()
        late = await world.fill_in()
        form_id, channel = early.form_external_id, world.channel_external_id

        before = await lead_source.leads_since(channel, form_id, since, until=until)
        after = await lead_source.leads_since(channel, form_id, until)

        assert [lead.external_id for lead in before.items] == [early.lead_external_id]
        assert [lead.external_id for lead in after.items] == [late.lead_external_id]

    async def test_one_form_is_the_one_of_the_list(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """Asked for alone, a form says what it says among the others: questions, consents and all."""
        filled = await world.fill_in()
        listed = {form.external_id: form for form in await lead_source.forms(world.channel_external_id)}

        form = await lead_source.form(world.channel_external_id, filled.form_external_id)

        assert form == listed[filled.form_external_id]

    async def test_an_unknown_form_is_not_found(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """`VendorNotFoundError`, whatever is asked of it."""
        channel = world.channel_external_id

        with pytest.raises(VendorNotFoundError):
            await lead_source.form(channel, NEVER_KEPT)
        with pytest.raises(VendorNotFoundError):
            await lead_source.create_test_lead(channel, NEVER_KEPT)

    async def test_a_form_counts_its_leads(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """Where it counts at all, the count grows with each lead: it tells what is missing here."""
        first = await world.fill_in()
        before = (await lead_source.form(world.channel_external_id, first.form_external_id)).counts
        await world.fill_in()
        after = (await lead_source.form(world.channel_external_id, first.form_external_id)).counts

        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert (after.total - before.total, after.expired) == (1, before.expired)

    async def test_one_of_many_that_cannot_be_read_costs_no_other(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """`leads` answers for each id: the lead, or why there is none."""
        filled = [await world.fill_in() for _ in range(3)]
        ids = [filled[0].lead_external_id, NEVER_KEPT, *(one.lead_external_id for one in filled[1:])]

        found = await lead_source.leads(world.channel_external_id, ids)

        assert set(found) == set(ids)
        assert isinstance(found[NEVER_KEPT], VendorNotFoundError)
        for one in filled:
            lead = found[one.lead_external_id]
            assert isinstance(lead, Lead)
            assert {answer.name: answer.values for answer in lead.answers} == one.answers

    async def test_more_leads_than_fit_into_one_call_are_read(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """How many the vendor takes at once is the plugin's business."""
        lead_id = (await world.fill_in()).lead_external_id
        ids = [f"{NEVER_KEPT}{number}" for number in range(119)] + [lead_id]

        found = await lead_source.leads(world.channel_external_id, ids)

        assert set(found) == set(ids)
        assert isinstance(found[lead_id], Lead)

    async def test_no_ids_are_no_leads(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """Nothing is asked for nothing."""
        assert not await lead_source.leads(world.channel_external_id, ())

    async def test_bad_weather_stands_beside_each_of_many(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """Silence, a missing scope and a revoked grant are each told of every lead that they hit."""
        ids = [(await world.fill_in()).lead_external_id for _ in range(2)]

        async def kinds() -> set[type[VendorError]]:
            found = await lead_source.leads(world.channel_external_id, ids)
            assert set(found) == set(ids)
            return {type(each) for each in found.values() if isinstance(each, VendorError)}

        await world.drop_answers()
        assert await kinds() == {VendorUnavailableError}
        await world.clear_up()
        await world.go_down()
        assert await kinds() == {VendorUnavailableError}
        await world.clear_up()
        await world.withdraw_scopes()
        assert await kinds() == {MissingScopeError}
        await world.revoke_grant()
        assert await kinds() == {ReauthorizationError}

    async def test_a_grant_revoked_between_pages_asks_for_reauthorization(
        self, lead_source: LeadSource, world: LeadWorld, clock: FakeClock
    ) -> None:
        """What was read stays read; the rest waits for somebody to connect again."""
        since = clock.now() - A_WHILE
        filled = [await world.fill_in() for _ in range(3)]
        channel, form_id = world.channel_external_id, filled[0].form_external_id
        page = await lead_source.leads_since(channel, form_id, since)
        assert page.items
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await lead_source.leads_since(channel, form_id, since, page.next_cursor)
        with pytest.raises(ReauthorizationError):
            await lead_source.create_test_lead(channel, form_id)

    async def test_a_test_lead_can_be_read_like_any_other(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """It bears the answers that it was given, and belongs to its form."""
        filled = await world.fill_in()
        name, values = next(iter(filled.answers.items()))

        lead_id = await lead_source.create_test_lead(
            world.channel_external_id, filled.form_external_id, answers={name: values}
        )

        lead = await lead_source.lead(world.channel_external_id, lead_id)
        assert lead.external_id == lead_id != filled.lead_external_id
        assert lead.form_external_id == filled.form_external_id
        assert {answer.name: answer.values for answer in lead.answers}[name] == values

    async def test_a_test_lead_can_be_made_again(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """A vendor that keeps one per form replaces it; people's own leads stay."""
        filled = await world.fill_in()
        channel, form_id = world.channel_external_id, filled.form_external_id

        first = await lead_source.create_test_lead(channel, form_id)
        second = await lead_source.create_test_lead(channel, form_id)

        assert first != second
        assert (await lead_source.lead(channel, second)).external_id == second
        await lead_source.lead(channel, filled.lead_external_id)

    async def test_a_test_lead_answers_only_what_the_form_asks(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """`RejectedError`: nothing is made, and nothing that is there goes."""
        filled = await world.fill_in()
        channel, form_id = world.channel_external_id, filled.form_external_id
        kept = await lead_source.create_test_lead(channel, form_id)

        with pytest.raises(RejectedError):
            await lead_source.create_test_lead(channel, form_id, answers={"no such question": ("x",)})

        assert (await lead_source.lead(channel, kept)).external_id == kept

    async def test_a_lost_answer_leaves_open_whether_there_is_a_test_lead(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """`OutcomeUnknownError`; out of reach it never left: `VendorUnavailableError`. A limit is neither."""
        filled = await world.fill_in()
        channel, form_id = world.channel_external_id, filled.form_external_id

        await world.drop_answers()
        with pytest.raises(OutcomeUnknownError):
            await lead_source.create_test_lead(channel, form_id)
        await world.clear_up()
        await world.go_down()
        with pytest.raises(VendorUnavailableError):
            await lead_source.create_test_lead(channel, form_id)
        await world.clear_up()
        await world.limit(A_WHILE)
        with pytest.raises(RateLimitError):
            await lead_source.create_test_lead(channel, form_id)

    async def test_unknown_lead_is_not_found(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """`VendorNotFoundError`: it does not exist, or this grant may not see it."""
        with pytest.raises(VendorNotFoundError):
            await lead_source.lead(world.channel_external_id, NEVER_KEPT)

    async def test_a_channel_without_a_token_hits_the_channel_only(self, lead_source: LeadSource) -> None:
        """`ReauthorizationError` for one channel says nothing about the others."""
        with pytest.raises(ReauthorizationError) as failure:
            await lead_source.forms(NEVER_KEPT)
        with pytest.raises(ReauthorizationError):
            await lead_source.leads(NEVER_KEPT, [NEVER_KEPT])

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
        with pytest.raises(MissingScopeError):
            await lead_source.form(world.channel_external_id, filled.form_external_id)
        with pytest.raises(MissingScopeError):
            await lead_source.create_test_lead(world.channel_external_id, filled.form_external_id)

    async def test_rate_limit_asks_for_patience(self, lead_source: LeadSource, world: LeadWorld) -> None:
        """`RateLimitError`, whatever is read: it can be read later."""
        filled = await world.fill_in()
        await world.limit(A_WHILE)

        for read in self._readings(lead_source, world, filled):
            with pytest.raises(RateLimitError):
                await read()
        found = await lead_source.leads(world.channel_external_id, [filled.lead_external_id])
        assert isinstance(found[filled.lead_external_id], RateLimitError)

    async def test_a_lost_answer_to_a_question_may_be_asked_again(
        self, lead_source: LeadSource, world: LeadWorld
    ) -> None:
        """Reading changes nothing, so silence and absence are the same: `VendorUnavailableError`."""
        filled = await world.fill_in()
        readings = self._readings(lead_source, world, filled)

        await world.drop_answers()
        for read in readings:
            with pytest.raises(VendorUnavailableError):
                await read()
        await world.clear_up()
        await world.go_down()
        for read in readings:
            with pytest.raises(VendorUnavailableError):
                await read()
        await world.clear_up()

        for read in readings:
            await read()
