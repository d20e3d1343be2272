"""A test lead: made at the vendor by a button, and followed here step by step while one looks."""

from typing import Final

from litestar import get, post
from litestar.params import FromPath

from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, Form
from moorage.admin.lead_form_words import ORDERS, STEP_BADGES, STEPS, error_words
from moorage.admin.lead_forms import LeadFormHere, form_here, form_page_of, form_path, named_form
from moorage.admin.pages import Answer
from moorage.auth import SESSION
from moorage.codec import clean_text
from moorage.errors import status_of
from moorage_ports.errors import InvalidRequestError, MoorageError, NotFoundError
from moorage_ports.lead_operations import CREATE_TEST_LEAD, GET_TEST_LEAD, CreateTestLead, GetTestLead
from moorage_ports.operations import Role

_MOST_ANSWERS: Final = 200
_LONGEST_ID: Final = 64
ANSWER: Final = "answer."  # what an input for a question's answer is called, before the question's own name


@post(
    "/leads/forms/{slug:str}/{form_id:str}/tests",
    opt=SESSION,
    request_max_body_size=MAX_FORM_BYTES,
    status_code=200,
)
async def make_test_lead(
    visit: VisitHere, form: FormHere, slug: FromPath[str], form_id: FromPath[str]
) -> Answer:
    """Have the vendor make one. That it would not is told on the test's own page, as its first step."""
    vendor, form_id = named_form(visit, slug, form_id)
    try:
        request = CreateTestLead(form=form_id, answers=_answers(form))
        made = await visit.ask(vendor, CREATE_TEST_LEAD, request)
    except MoorageError as error:
        here = await form_here(visit, slug, form_id, is_look=True)
        return await form_page_of(visit, here, failure=words.trouble(error), status=status_of(error))
    return visit.redirect(f"{form_path(slug, form_id)}/tests/{made.id}")


def _answers(form: Form) -> dict[str, tuple[str, ...]]:
    """What was filled in; a question that was left empty gets the vendor's dummy text.

    Raises:
        InvalidRequestError: It is more than can be asked.
    """
    names = [name for name in form.fields if name.startswith(ANSWER) and form.text(name)]
    if len(names) > _MOST_ANSWERS:
        msg = "no form asks that much"
        raise InvalidRequestError(msg)
    return {name.removeprefix(ANSWER): (form.text(name),) for name in names}


@get("/leads/forms/{slug:str}/{form_id:str}/tests/{test_id:str}", opt=SESSION)
async def test_lead_page(
    visit: VisitHere, slug: FromPath[str], form_id: FromPath[str], test_id: FromPath[str]
) -> Answer:
    """How far it has come. The script asks again until nothing more will happen."""
    vendor, form_id = named_form(visit, slug, form_id)
    if len(test_id) > _LONGEST_ID or clean_text(test_id) != test_id:
        msg = "the organisation made no such test lead"
        raise NotFoundError(msg)
    test = await visit.ask(vendor, GET_TEST_LEAD, GetTestLead(id=test_id))
    here = await form_here(visit, slug, test.form_id, is_look=True)
    context = {
        "title": "Test lead",
        "here": here,
        "test": test,
        "steps": STEPS,
        "step_badges": STEP_BADGES,
        "orders": ORDERS,
        "error_words": error_words,
        "may_test": may_test(visit, here),
    }
    return visit.page("lead_test.html", context)


def may_test(visit: Visit, here: LeadFormHere) -> bool:
    """Whether this person may make one now."""
    return visit.may(Role.AGENT) and here.standing.is_live
