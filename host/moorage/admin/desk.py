"""What every admin page has at hand: the host's services, who is signed in, a way to ask for operations."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

import attrs
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from moorage.admin.accounts import Passwords
from moorage.admin.attempts import Attempts
from moorage.admin.forms import Form, check_token, read_form
from moorage.admin.pages import Renderer, templates
from moorage.admin.sessions import caller_of, is_proven, session_from_request, touch
from moorage.auth import require_role
from moorage.ids import new_id
from moorage.operations.handlers import HANDLERS
from moorage.services import Caller, OperationCall, Services
from moorage.vendors import binding_of
from moorage_ports.accounts import Session
from moorage_ports.errors import IdempotencyMismatchError, MoorageError, UnsupportedError
from moorage_ports.operations import Operation, Role
from moorage_ports.plugin import Vendor
from moorage_ports.publications import RememberedCall

Q = TypeVar("Q")
A = TypeVar("A")

LIVE_HEADER = "x-moorage-live"  # our script looking for news: nobody is there, so the session is not kept up
BACK = "confirmed"  # stands in the address that leads back from confirming


class SignInNeededError(MoorageError):
    """Nobody is signed in, or no longer; `back_to` is where they wanted to be."""

    code = "invalid_token"
    title = "Sign in first"

    def __init__(self, back_to: str) -> None:
        super().__init__("sign in first")
        self.back_to = back_to


@attrs.frozen(kw_only=True)
class Desk:
    """The admin UI of one host."""

    services: Services
    renderer: Renderer
    attempts: Attempts
    passwords: Passwords

    def now(self) -> datetime:
        """The present moment, on the host's clock."""
        return self.services.clock.now()

    def nobody_page(
        self, template: str, context: Mapping[str, object], *, status: int = 200, **more: Any
    ) -> Response[bytes]:
        """A page for somebody who is not signed in."""
        return self.renderer.page(template, context, now=self.now(), status=status, **more)


def build_desk(services: Services) -> Desk:
    """Everything that lives as long as the app."""
    return Desk(
        services=services,
        renderer=Renderer(templates(), is_https=services.settings.public_url.startswith("https://")),
        attempts=Attempts(),
        passwords=Passwords(),
    )


@attrs.frozen(kw_only=True)
class Visit:
    """One request of somebody who is signed in."""

    desk: Desk
    session: Session
    path: str
    query: str = ""
    is_back: bool = False  # from confirming that it is they: the page says so

    @property
    def services(self) -> Services:
        """The host's."""
        return self.desk.services

    @property
    def org_id(self) -> str:
        """The one org that everything here is about."""
        return self.session.org_id

    @property
    def is_proven(self) -> bool:
        """Whether the person gave their password a short while ago."""
        return is_proven(self.session, self.desk.now())

    def may(self, role: Role) -> bool:
        """Whether the person's role reaches that far; templates show only what they may do."""
        order = (Role.VIEWER, Role.AGENT, Role.ADMIN)
        return order.index(self.session.role) >= order.index(role)

    def page(self, template: str, context: Mapping[str, object], *, status: int = 200) -> Response[bytes]:
        """A page inside the frame: navigation, org, sign-out."""
        frame = {
            "org": self.session.org_id,
            "person": self.session.email,
            "csrf": self.session.csrf_token,
            "path": self.path,
            "may_post": self.may(Role.AGENT),
            "may_connect": self.may(Role.ADMIN),
            "is_proven": self.is_proven,
            "is_back": self.is_back and self.is_proven,
        }
        return self.desk.renderer.page(template, {**frame, **context}, now=self.desk.now(), status=status)

    def redirect(self, path: str) -> Response[Any]:
        """On to another page."""
        return self.desk.renderer.redirect(path)

    def caller(self, role: Role) -> Caller:
        """This person, for what needs a role.

        Raises:
            ForbiddenError: The person's role does not reach that far.
        """
        caller = caller_of(self.session)
        require_role(caller, role)
        return caller

    async def ask(self, vendor: Vendor, operation: Operation[Q, A], request: Q, *, subject_id: str = "") -> A:
        """Have an operation done as this person, exactly as the API would.

        Raises:
            ForbiddenError: The person's role does not reach that far.
            UnsupportedError: The vendor does not offer the operation.
            MoorageError: Whatever the operation raises.
        """
        caller = self.caller(operation.role)
        if binding_of(vendor, operation) is None:
            msg = f"{vendor.title} does not offer this"
            raise UnsupportedError(msg)
        call = OperationCall(services=self.services, caller=caller, vendor=vendor, subject_id=subject_id)
        answer: A = await HANDLERS[operation.name](call, request)
        return answer

    async def ask_once(
        self, scope: str, key: str, vendor: Vendor, operation: Operation[Q, A], request: Q
    ) -> str:
        """Have something sent, and answer under which id of ours; a form sent twice sends nothing twice.

        Raises:
            IdempotencyMismatchError: That form was sent before, with something else in it.
            MoorageError: Whatever the operation raises; then the same form may be sent again.
        """
        plain = attrs.astuple(
            cast("attrs.AttrsInstance", request)
        )  # as `repr` some fields keep to themselves

        async def send(subject_id: str) -> A:
            return await self.ask(vendor, operation, request, subject_id=subject_id)

        subject_id, _ = await self.once(scope, key, repr(plain), send)
        return subject_id

    async def once(
        self, scope: str, key: str, said: str, act: Callable[[str], Awaitable[A]]
    ) -> tuple[str, A | None]:
        """Do what a form (its `key`) is for once, under an id of ours; answers that, and what came of it.

        `None`: the form was sent before, with the same in it (`said`). Then nothing is done.

        Raises:
            IdempotencyMismatchError: It was sent before, with something else in it.
            MoorageError: Whatever `act` raises; then the same form may be sent again.
        """
        storage, subject_id = self.services.storage, new_id()
        mark = sha256(said.encode(errors="surrogatepass")).hexdigest()
        async with storage.unit_of_work(self.org_id) as uow:
            call = RememberedCall(body_hash=mark, subject_id=subject_id)
            earlier = await uow.remembered_calls.begin(scope, key, call, now=self.desk.now())
        if earlier is not None and earlier.body_hash != mark:
            msg = "this form was sent before, with something else in it"
            raise IdempotencyMismatchError(
                msg, remedy="See what was sent, then send this if it is still meant."
            )
        if earlier is not None:
            return earlier.subject_id, None
        try:
            answer = await act(subject_id)
        except MoorageError:
            async with storage.unit_of_work(self.org_id) as uow:
                await uow.remembered_calls.forget(scope, key)
            raise
        async with storage.unit_of_work(self.org_id) as uow:
            await uow.remembered_calls.finish(scope, key, status=200, response=b"")
        return subject_id, answer


# Litestar checks injected values with isinstance, which none of these needs.
DeskHere: TypeAlias = NamedDependency[SkipValidation[Desk]]
VisitHere: TypeAlias = NamedDependency[SkipValidation[Visit]]
FormHere: TypeAlias = NamedDependency[SkipValidation[Form]]


async def provide_visit(request: Request[Any, Any, Any], desk: DeskHere) -> Visit:
    """Who is here.

    Raises:
        SignInNeededError: Nobody.
    """
    session = await session_from_request(request, desk.services)
    if session is None:
        back_to = request.url.path if request.method == "GET" else ""
        raise SignInNeededError(back_to + (f"?{request.url.query}" if back_to and request.url.query else ""))
    if LIVE_HEADER not in request.headers:
        await touch(session, desk.services)
    return Visit(
        desk=desk,
        session=session,
        path=request.url.path,
        query=request.url.query,
        is_back=BACK in request.query_params,
    )


async def provide_form(request: Request[Any, Any, Any], visit: VisitHere) -> Form:
    """What this session's own page posted.

    Raises:
        InvalidRequestError: It is not a form.
        ForeignFormError: It carries another session's token, or none.
    """
    form = await read_form(request)
    check_token(form, visit.session)
    return form


def sign_in_path(back_to: str) -> str:
    """The sign-in page, and where to go from there."""
    return f"/admin/sign-in?next={quote(back_to, safe='/')}" if back_to else "/admin/sign-in"
