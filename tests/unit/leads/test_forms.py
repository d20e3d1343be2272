"""Forms are kept as they were last read, and mappings are checked against that where it will do."""

from datetime import timedelta

import attrs
import pytest

from moorage.leads.mappings import FRESH, READ_BEFORE, FormQuery, SaveMapping, save_mapping
from moorage.operations.handlers import HANDLERS
from moorage.reconcile import QUEUE, Reconciler
from moorage_adapters.memory.things import Form
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.errors import InvalidRequestError
from moorage_ports.jobs import Nudge
from moorage_ports.lead_forms import KnownForm
from moorage_ports.lead_mapping import MappingRule
from moorage_ports.lead_operations import GET_LEAD_FORM, LIST_LEAD_FORMS, GetLeadForm, ListLeadForms
from tests.support.harbour import ADMIN, Harbour

OTHER = Form(id="form-9", board_id=CAFE.id, name="Cakes", asks={"cake": "Which cake?"})


async def kept(host: Harbour) -> dict[str, KnownForm]:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        return {known.form.external_id: known for known in await uow.lead_forms.all()}


async def read_forms(host: Harbour) -> None:
    """What happens every quarter of an hour."""
    nudge = Nudge(queue=QUEUE, group=f"{ADMIN.org_id}:memory:{CAFE.id}", org_id=ADMIN.org_id)
    while await Reconciler(host.services).look(nudge) is not None:
        pass


async def save(host: Harbour, source: str, *, on: int = 0) -> tuple[str, ...]:
    """Save a mapping of one rule; answers its notes."""
    rule = MappingRule(target="company", sources=(source,))
    draft = SaveMapping(rules=(rule,), based_on=on)
    return (await save_mapping(host.services, ADMIN, NEWSLETTER.id, FormQuery(), draft)).notes


def ask_more(host: Harbour, key: str) -> None:
    """The form asks one question more from now on."""
    form = host.world.forms[NEWSLETTER.id]
    host.world.forms[NEWSLETTER.id] = attrs.evolve(form, asks={**form.asks, key: "And?"})


async def test_reading_the_forms_for_leads_keeps_what_they_ask(host: Harbour) -> None:
    host.world.forms[OTHER.id] = OTHER
    await read_forms(host)
    both = await kept(host)
    assert set(both) == {NEWSLETTER.id, OTHER.id}
    assert [question.key for question in both[NEWSLETTER.id].form.questions] == list(NEWSLETTER.asks)

    del host.world.forms[OTHER.id]
    host.clock.advance(timedelta(minutes=15))
    await read_forms(host)
    (left,) = (await kept(host)).values()
    assert (left.form.external_id, left.read_at) == (NEWSLETTER.id, host.clock.now())


async def test_whoever_asks_for_forms_has_them_kept(host: Harbour) -> None:
    """A rehearsal keeps nothing."""
    listing, one = HANDLERS[LIST_LEAD_FORMS.name], HANDLERS[GET_LEAD_FORM.name]
    await listing(host.call(dry_run=True), ListLeadForms(channel=CAFE.id))
    await one(host.call(dry_run=True), GetLeadForm(form=NEWSLETTER.id))
    assert await kept(host) == {}

    await one(host.call(), GetLeadForm(form=NEWSLETTER.id))
    assert set(await kept(host)) == {NEWSLETTER.id}
    host.world.forms[OTHER.id] = OTHER
    await listing(host.call(), ListLeadForms(channel=CAFE.id))
    assert set(await kept(host)) == {NEWSLETTER.id, OTHER.id}


async def test_a_form_that_was_just_read_is_not_read_again_to_check_a_mapping(host: Harbour) -> None:
    await read_forms(host)
    host.world.go_down()
    host.clock.advance(FRESH - timedelta(seconds=1))
    assert await save(host, "roast") == ()


async def test_a_question_that_is_new_is_found_at_the_vendor(host: Harbour) -> None:
    """No copy has the last word while the vendor can be asked, however fresh it is."""
    await read_forms(host)
    ask_more(host, "milk")
    assert await save(host, "milk") == ()
    with pytest.raises(InvalidRequestError):
        await save(host, "sugar", on=1)


async def test_a_consent_that_nobody_is_asked_for_is_no_source(host: Harbour) -> None:
    (pledge,) = NEWSLETTER.pledges
    assert await save(host, f"consent:{pledge}") == ()
    with pytest.raises(InvalidRequestError) as refused:
        await save(host, "consent:terms", on=1)
    assert set(refused.value.fields) == {"rules[0].sources[0]"}


async def test_with_the_vendor_out_of_reach_the_copy_says_what_is_asked(host: Harbour) -> None:
    """However old it is; whoever saves is told since when."""
    await read_forms(host)
    read_at = host.clock.now()
    ask_more(host, "milk")
    host.world.go_down()
    with pytest.raises(InvalidRequestError) as refused:
        await save(host, "milk")
    assert set(refused.value.fields) == {"rules[0].sources[0]"}

    host.clock.advance(FRESH)
    assert await save(host, "roast") == (READ_BEFORE.format(at=read_at),)
    host.world.clear_up()
    assert await save(host, "milk", on=1) == ()
    assert (await kept(host))[NEWSLETTER.id].read_at == host.clock.now()
