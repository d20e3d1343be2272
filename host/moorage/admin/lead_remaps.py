"""Past leads, mapped anew by their form's current mapping: ordered by a button of the form's page."""

from litestar import post
from litestar.params import FromPath

from moorage.admin import words
from moorage.admin.desk import FormHere, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, day_of
from moorage.admin.lead_forms import NOT_A_DAY, form_here, form_page_of, form_path, named_form
from moorage.admin.pages import Answer
from moorage.auth import SESSION
from moorage.errors import status_of
from moorage.leads.mappings import FormQuery
from moorage.leads.remap_orders import OrderRemap, order_remap
from moorage_ports.errors import InvalidRequestError, MoorageError
from moorage_ports.operations import Role


@post(
    "/leads/forms/{slug:str}/{form_id:str}/remap",
    opt=SESSION,
    request_max_body_size=MAX_FORM_BYTES,
    status_code=200,
)
async def remap(visit: VisitHere, form: FormHere, slug: FromPath[str], form_id: FromPath[str]) -> Answer:
    """Map them, or only count which would change. The same order twice is one while it runs."""
    caller, text = visit.caller(Role.ADMIN), form.text("came_since")
    vendor, form_id = named_form(visit, slug, form_id)
    try:
        since = day_of(text)
        if text and since is None:
            msg = "this is no day"
            raise InvalidRequestError(msg, fields={"came_since": NOT_A_DAY})
        asked = OrderRemap(since=since, dry_run=form.text("do") != "map")
        await order_remap(visit.services, caller, form_id, FormQuery(vendor=vendor.slug), asked)
    except MoorageError as error:
        here = await form_here(visit, slug, form_id, is_look=True)
        failure, status = words.trouble(error), status_of(error)
        return await form_page_of(visit, here, came_since=text, failure=failure, status=status)
    return visit.redirect(f"{form_path(slug, form_id)}#past")
