"""The admin UI as one router: `app.py` mounts what `admin_router` answers."""

from typing import Any, Final

from litestar import Request, Router, get
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ExceptionHandlersMap, Guard

from moorage.admin import (
    confirm,
    contacts,
    conversation,
    handover,
    inbox,
    kept,
    lead,
    lead_forms,
    lead_mapping,
    lead_remaps,
    lead_tests,
    leads,
    ledger,
    operations,
    overview,
    posts,
    privacy,
    replaying,
    sign_in,
    words,
)
from moorage.admin import integrations as vendor_pages
from moorage.admin.desk import (
    LIVE_HEADER,
    Desk,
    SignInNeededError,
    build_desk,
    provide_form,
    provide_visit,
    sign_in_path,
)
from moorage.admin.forms import only_from_our_pages
from moorage.admin.pages import STATIC, Answer
from moorage.admin.proof import ProofNeededError, confirm_path
from moorage.admin.words import Trouble
from moorage.auth import PUBLIC
from moorage.errors import on_unforeseen, request_id_of, status_of
from moorage.services import Services
from moorage_ports.errors import MoorageError

_KINDS: Final = {
    "admin.css": "text/css; charset=utf-8",
    "admin.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def admin_router(services: Services, guard: Guard) -> Router:
    """`/admin` with everything below it; `guard` decides who may call what, as everywhere."""
    desk = build_desk(services)
    handlers: list[BaseRouteHandler] = [
        sign_in.sign_in_page,
        sign_in.sign_in,
        sign_in.sign_out,
        confirm.confirm_page,
        confirm.confirm,
        overview.overview,
        inbox.inbox_page,
        conversation.conversation_page,
        conversation.answer,
        conversation.answer_privately,
        conversation.hide,
        conversation.tend,
        contacts.contacts_page,
        contacts.contact_page,
        kept.replay_given_up,
        leads.leads_page,
        leads.export_leads_file,
        lead_forms.forms_page,
        lead_forms.form_page,
        lead_forms.backfill,
        lead_mapping.mapping_page,
        lead_mapping.edit_mapping,
        lead_remaps.remap,
        lead_tests.make_test_lead,
        lead_tests.test_lead_page,
        lead.lead_page,
        lead.change,
        ledger.ledger_page,
        ledger.replay_entries_page,
        operations.operations_page,
        replaying.replay_page,
        replaying.do_replay,
        handover.endpoints_page,
        handover.add_endpoint,
        handover.endpoint_page,
        handover.change,
        handover.rotate,
        handover.test_it,
        handover.replay_messages,
        handover.delete,
        privacy.privacy_page,
        privacy.retention_preview,
        privacy.save_retention,
        privacy.erasure_preview,
        privacy.look_for_person,
        privacy.erase,
        posts.posts_page,
        posts.write_post,
        posts.post_page,
        vendor_pages.integrations_page,
        vendor_pages.integration_page,
        vendor_pages.connect,
        vendor_pages.pick_channels,
        asset,
        nothing_here,
    ]
    return Router(
        path="/admin",
        route_handlers=handlers,
        guards=[guard, only_from_our_pages],
        dependencies={
            "desk": Provide(lambda: desk, use_cache=True, sync_to_thread=False),
            "visit": Provide(provide_visit),
            "form": Provide(provide_form),
        },
        exception_handlers=_exception_handlers(desk),
        include_in_schema=False,
        opt={"public_url": services.settings.public_url},
    )


@get("/assets/{name:str}", opt=PUBLIC)
async def asset(name: FromPath[str]) -> Answer:
    """The stylesheet, the script and the icon: three files, named here and nowhere else."""
    if name not in _KINDS:
        raise NotFoundException
    return Response(
        (STATIC / name).read_bytes(),
        media_type=_KINDS[name],
        headers={
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        },
    )


@get("/{rest:path}", opt=PUBLIC)
async def nothing_here(rest: FromPath[str]) -> None:
    """Any other path below /admin: a page that says so, signed in or not."""
    raise NotFoundException(rest)


def _exception_handlers(desk: Desk) -> ExceptionHandlersMap:
    """Errors as pages, with the statuses that the API gives them."""

    def sign_in_first(request: Request[Any, Any, Any], error: SignInNeededError) -> Answer:
        if LIVE_HEADER in request.headers:  # the script reloads the page, and that leads to the sign-in
            return Response(b"", status_code=401, headers=desk.renderer.headers(""))
        return desk.renderer.redirect(sign_in_path(error.back_to))

    def confirm_first(_: Request[Any, Any, Any], error: ProofNeededError) -> Answer:
        return desk.renderer.redirect(confirm_path(error.act, error.page))

    def problem(request: Request[Any, Any, Any], error: MoorageError) -> Answer:
        if status_of(error) == 500:
            return broken(request, error)
        return _problem_page(desk, words.trouble(error), status_of(error))

    def broken(request: Request[Any, Any, Any], error: Exception) -> Answer:
        on_unforeseen(request, error)  # logs it once; the answer here is a page, not a document
        remedy = f"Try again. If it stays, tell your operator this: {request_id_of(request.scope)}"
        return _problem_page(desk, Trouble(title="Something broke here", remedy=remedy), 500)

    def refused(_: Request[Any, Any, Any], error: HTTPException) -> Answer:
        told = _TROUBLES.get(error.status_code, _ANYTHING)
        return _problem_page(desk, told, error.status_code)

    return {
        SignInNeededError: sign_in_first,
        ProofNeededError: confirm_first,
        MoorageError: problem,
        HTTPException: refused,
        Exception: broken,
    }


_ANYTHING: Final = Trouble(title="That did not work", remedy="Go back and try again.")
_TROUBLES: Final = {
    404: Trouble(title="There is nothing here", remedy="Follow the link back to the overview."),
    405: Trouble(title="That can't be done here", remedy="Go back and use the page's own buttons."),
    413: Trouble(title="That is too much at once", remedy="Go back and make the text shorter."),
}


def _problem_page(desk: Desk, told: Trouble, status: int) -> Answer:
    context = {"title": told.title, "failure": told, "status": status}
    return desk.nobody_page("problem.html", context, status=status)
