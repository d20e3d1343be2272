"""Making a test lead at the vendor, and seeing how far it came here."""

from collections.abc import Collection

import attrs

from moorage.handover.announcing import announce_lead
from moorage.ids import new_id
from moorage.leads.testing import view_of_test
from moorage.operations.lead_channels import LeadChannels, lead_channels
from moorage.services import OperationCall
from moorage_ports.errors import InvalidRequestError, NotFoundError, VendorError
from moorage_ports.integrations import Channel
from moorage_ports.lead_operations import CreateTestLead, GetTestLead, TestLeadView
from moorage_ports.lead_orders import LeadTest, OrderState
from moorage_ports.lead_source import LeadForm
from moorage_ports.outgoing import EventType


async def create_test_lead(call: OperationCall, request: CreateTestLead) -> TestLeadView:
    """Have the vendor make it. That it did not is the first step's outcome, and no error of this call.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        InvalidRequestError: The form asks no such question.
        VendorError: The form cannot be read.
    """
    found = await lead_channels(call, request.channel, form_id=request.form)
    channel, form = await found.form(request.form)
    _check_answers(form, request.answers)
    now = call.services.clock.now()
    test = LeadTest(
        id=new_id(),
        vendor=call.vendor.slug,
        channel_external_id=channel.external_id,
        form_external_id=form.external_id,
        ordered_at=now,
    )
    if not call.dry_run:
        await _save(call, test)
        test = await _made(found, channel, test, request)
        await _save(call, test)
    return view_of_test(test, None, now)


async def get_test_lead(call: OperationCall, request: GetTestLead) -> TestLeadView:
    """One test as far as it has come.

    Raises:
        NotFoundError: The org ordered none of that id.
    """
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        test = await uow.lead_tests.get(request.id)
        if test is None or test.vendor != call.vendor.slug:
            msg = "the organisation made no such test lead"
            raise NotFoundError(msg)
        known = await uow.lead_ledger.of(test.vendor, (test.lead_external_id,))
    return view_of_test(test, known.get(test.lead_external_id), call.services.clock.now())


async def _made(found: LeadChannels, channel: Channel, test: LeadTest, request: CreateTestLead) -> LeadTest:
    """The test as it stands once the vendor has answered."""
    clock = found.call.services.clock
    try:
        lead_id = await found.ask(
            channel,
            lambda: found.source.create_test_lead(
                channel.external_id, test.form_external_id, answers=request.answers
            ),
        )
    except VendorError as failure:
        return attrs.evolve(test, state=OrderState.FAILED, error=failure.code, remedy=failure.remedy)
    return attrs.evolve(
        test, state=OrderState.DONE, lead_external_id=lead_id, created_at=clock.now(), error="", remedy=""
    )


async def _save(call: OperationCall, test: LeadTest) -> None:
    """Keep the test. Its lead may have come before the vendor had answered which it is."""
    async with call.services.storage.unit_of_work(call.caller.org_id) as uow:
        await uow.lead_tests.save(test)
        if not test.lead_external_id:
            return
        lead = await uow.leads.by_external_id(test.vendor, test.lead_external_id)
        if lead is not None and not lead.is_test:
            marked = attrs.evolve(lead, is_test=True)
            await uow.leads.update(marked)
            await announce_lead(uow, EventType.LEAD_UPDATED, marked)  # it was told of as a real one
        known = await uow.lead_ledger.of(test.vendor, (test.lead_external_id,))
        await uow.lead_ledger.write(
            [attrs.evolve(entry, is_test=True) for entry in known.values() if not entry.is_test]
        )


def _check_answers(form: LeadForm, answers: Collection[str]) -> None:
    asked = {question.key for question in form.questions}
    unknown = sorted(set(answers) - asked)
    if unknown:
        msg = "the form asks no such question"
        hint = f"the form asks: {', '.join(sorted(asked))}"[:500]
        raise InvalidRequestError(msg, fields={f"answers.{name}"[:100]: hint for name in unknown[:20]})
