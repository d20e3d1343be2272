"""What an org sees of lead forms, leads and what was ordered about them."""

from collections.abc import Iterable

from moorage_ports.crm import CrmLead
from moorage_ports.form_checks import FormCheck
from moorage_ports.lead_ledger import LeadTotals
from moorage_ports.lead_operations import (
    AnswerView,
    BackfillView,
    ConsentView,
    FormCountsView,
    LeadFormView,
    LeadView,
    OptionView,
    QuestionView,
)
from moorage_ports.lead_orders import Backfill
from moorage_ports.lead_source import Consent, Lead, LeadCounts, LeadForm, Question


def form_view(
    form: LeadForm, totals: LeadTotals, backfill: Backfill | None, check: FormCheck | None
) -> LeadFormView:
    """A form as it stands at the vendor, and what is known of it here."""
    return LeadFormView(
        id=form.external_id,
        channel_id=form.channel_external_id,
        name=form.name,
        status=form.status,
        locale=form.locale,
        questions=tuple(map(_question_view, form.questions)),
        consents=consent_views(form.consents),
        counts=_counts_view(totals, check, form.counts),
        backfill=backfill_view(backfill, totals, check) if backfill else None,
    )


def backfill_view(backfill: Backfill, totals: LeadTotals, check: FormCheck | None) -> BackfillView:
    """A backfill as far as it has come, with the form's counts: the vendor's when they were last compared."""
    return BackfillView(
        id=backfill.id,
        state=backfill.state,
        form_id=backfill.form_external_id,
        channel_id=backfill.channel_external_id,
        since=backfill.since,
        until=backfill.until,
        fetched=backfill.fetched,
        already_there=backfill.known,
        counts=_counts_view(totals, check, None),
        error=backfill.error,
        remedy=backfill.remedy,
        retry_at=backfill.retry_at,
        ordered_at=backfill.ordered_at,
        finished_at=backfill.finished_at,
    )


def _counts_view(totals: LeadTotals, check: FormCheck | None, now: LeadCounts | None) -> FormCountsView:
    """Ours as they are, theirs as they are `now` or were when they were last compared."""
    is_missing = check is not None and check.gap > 0
    theirs, expired = (
        (now.total, now.expired) if now else (check.theirs, check.expired) if check else (None, 0)
    )
    return FormCountsView(
        theirs=theirs,
        expired=expired,
        organic=now.organic if now else None,
        ours=totals.heard,
        stored=totals.stored + totals.merged + totals.linked,
        waiting=totals.pending + totals.parked,
        dead=totals.dead,
        tests=totals.test,
        with_problems=totals.with_problems,
        before=check.before if check else None,
        missing=check.gap if check and is_missing else 0,
        missing_since=check.gap_since if check and is_missing else None,
        alarming=check.is_alarming if check else False,
        checked_at=check.checked_at if check else None,
    )


def lead_view(lead: Lead, known: CrmLead | None) -> LeadView:
    """A lead as the vendor has it."""
    return LeadView(
        id=lead.external_id,
        form_id=lead.form_external_id,
        channel_id=lead.channel_external_id,
        submitted_at=lead.submitted_at,
        answers=tuple(
            AnswerView(
                name=answer.name,
                values=answer.values,
                meaning=answer.meaning.value if answer.meaning else "",
            )
            for answer in lead.answers
        ),
        consents=consent_views(lead.consents),
        campaign_id=lead.campaign_external_id,
        campaign_name=lead.campaign_name,
        ad_set_id=lead.ad_set_external_id,
        ad_set_name=lead.ad_set_name,
        ad_id=lead.ad_external_id,
        ad_name=lead.ad_name,
        platform=lead.platform,
        organic=lead.is_organic,
        test=lead.is_test,
        crm_lead_id=known.id if known else None,
    )


def consent_views(consents: Iterable[Consent]) -> tuple[ConsentView, ...]:
    """What consent is asked for, or was given."""
    return tuple(
        ConsentView(key=each.key, text=each.text, required=each.is_required, given=each.is_given)
        for each in consents
    )


def _question_view(question: Question) -> QuestionView:
    return QuestionView(
        key=question.key,
        label=question.label,
        meaning=question.meaning.value if question.meaning else "",
        options=tuple(OptionView(key=option.key, label=option.label) for option in question.options),
    )
