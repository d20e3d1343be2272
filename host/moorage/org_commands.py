"""What the commands for one organisation's data do. Each needs the settings and the database, no more."""

import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from moorage.logging import configure_logging
from moorage.terminal import BAD_ORG, WRONG_SETTINGS, Config, StoppedError, fail, run, say, settings_of
from moorage.vendors import installed_vendors
from moorage_ports.operations import Role
from moorage_ports.values import ORG_ID

if TYPE_CHECKING:
    from moorage.leads.rehearsing import WouldBecome
    from moorage.replay import ReplayOrder
    from moorage.services import Services


def _for_org(org: str, config: Config, work: "Callable[[Services], Awaitable[None]]") -> int:
    """Do `work` with the host put together, if the org can be one and the settings hold."""
    found = installed_vendors()
    settings = settings_of(found, config)
    if settings is None:
        return WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return fail(BAD_ORG)
    configure_logging(settings.log_level, token_shapes=found.token_shapes)

    async def put_together() -> None:
        from moorage.bootstrap import assembled  # noqa: PLC0415 - needs what serving needs

        async with assembled(settings, found) as services:
            await work(services)

    return run(put_together)


def _by() -> str:
    """Who is at the keyboard."""
    return f"cli:{getpass.getuser()}"


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def create_account(
    *,
    org: Annotated[str, Parameter(help="The organisation whose pages they see.")],
    email: Annotated[str, Parameter(help="What they sign in with.")],
    role: Annotated[Role, Parameter(help="viewer, agent or admin.")] = Role.ADMIN,
    make_password: Annotated[
        bool, Parameter(help="Make a password and print it, this once.", negative="")
    ] = False,
    config: Config = None,
) -> int:
    """Let somebody sign in at /admin. Asks for the password, or reads it from a pipe: it is no argument.

    Called again for the same e-mail address it sets a new password and role.
    """

    async def create(services: "Services") -> None:
        from moorage.admin import accounts  # noqa: PLC0415 - needs what serving needs

        known = await services.storage.accounts.by_email(email.strip())
        if known is not None and known.org_id != org:
            msg = f"{email} signs in for {known.org_id}. Take another address: each is one organisation's."
            raise StoppedError(msg)
        password = secrets.token_urlsafe(15) if make_password else _password()
        made = await accounts.create_account(
            services.storage, org_id=org, email=email, password=password, role=role
        )
        done = "was made" if known is None else "has the new password"
        place = f"{services.settings.public_url}/admin"
        say(f"The account of {made.email} {done}: {role.value} of {org}, at {place}.")
        if make_password:
            say(f"Password: {password}")

    return _for_org(org, config, create)


def _password() -> str:
    """What somebody types twice without seeing it, or the first line of what is piped in."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        msg = "These are two passwords. No account was made."
        raise StoppedError(msg)
    return password


def replay(
    *,
    org: Annotated[str, Parameter(help="The organisation whose deliveries they are.")],
    id: Annotated[
        tuple[str, ...], Parameter(help="Only this one; may be given several times.", negative="")
    ] = (),
    state: Annotated[
        Literal["dead", "done"] | None,
        Parameter(help="All in this state. Default: dead, unless ids are given."),
    ] = None,
    vendor: Annotated[str, Parameter(help="Only this vendor's.")] = "",
    kind: Annotated[str, Parameter(help="Only of this kind, as the vendor names it.")] = "",
    error: Annotated[str, Parameter(help="Only what failed with this code.")] = "",
    form: Annotated[str, Parameter(help="Only leads of this form, by the vendor's id.")] = "",
    since: Annotated[datetime | None, Parameter(help="Only what came then or later; UTC.")] = None,
    until: Annotated[datetime | None, Parameter(help="Only what came before then; UTC.")] = None,
    dry_run: Annotated[
        bool,
        Parameter(
            help="List what would be replayed, and what would become of leads; change nothing.", negative=""
        ),
    ] = False,
    config: Config = None,
) -> int:
    """Work on kept deliveries again, as if they had just come. What had its effect has none a second time."""
    from moorage import replay as replaying  # noqa: PLC0415 - needs what serving needs

    order = replaying.ReplayOrder(
        org_id=org,
        by=_by(),
        states=replaying.states_asked(state, id),
        ids=id,
        vendor=vendor,
        kind=kind,
        error=error,
        form_id=form,
        since=_in_utc(since),
        until=_in_utc(until),
    )
    return _for_org(org, config, lambda services: _replay(services, order, dry_run=dry_run))


async def _replay(services: "Services", order: "ReplayOrder", *, dry_run: bool) -> None:
    from moorage import replay as replaying  # noqa: PLC0415 - needs what serving needs
    from moorage.leads.rehearsing import rehearse  # noqa: PLC0415 - as above

    if not dry_run:
        say(f"Replayed: {await replaying.replay(services, order)}.")
        return
    items = await replaying.find(services, order)
    leads = await rehearse(services, order.org_id, [(item.vendor, item.id) for item in items])
    for item in items:
        received = f"{item.received_at:%Y-%m-%d %H:%M:%S}Z"
        say(
            f"{item.id}  {item.state.value}  {received}  {item.vendor}  {item.kind}"
            f"  tries {item.tries}  {item.error}".rstrip()
        )
        if lead := leads.get((item.vendor, item.id)):
            say(f"    lead {lead.external_id}: {_fate(lead)}")
    more = " or more" if len(items) == replaying.AT_ONCE else ""
    say(f"Would be replayed: {len(items)}{more}.")


def _fate(lead: "WouldBecome") -> str:
    """What would become of it, in words."""
    into = lead.into or f"that of the vendor's lead {lead.into_external_id}"
    texts = {
        "stored": "would be a lead of its own",
        "linked": f"would be a lead of its own, linked to {into}",
        "merged": f"would be merged into {into}",
        "erased": "was erased, and would stay so",
        "already_there": f"is here already as {lead.lead_id}" if lead.lead_id else "is here already",
        "not_read": f"could not be read now: {lead.error}. {lead.remedy}".rstrip(),
    }
    return texts[lead.outcome]


def remap(
    *,
    org: Annotated[str, Parameter(help="The organisation whose leads they are.")],
    form: Annotated[str, Parameter(help="The form, by the vendor's id.")],
    vendor: Annotated[str, Parameter(help="The vendor, where several have forms.")] = "",
    since: Annotated[datetime | None, Parameter(help="Only leads that came then or later; UTC.")] = None,
    dry_run: Annotated[bool, Parameter(help="Count what would change, change nothing.", negative="")] = False,
    config: Config = None,
) -> int:
    """Map a form's past leads by its current mapping, from the answers that were kept."""

    async def map_leads(services: "Services") -> None:
        from moorage.leads import mappings, remapping  # noqa: PLC0415 - needs what serving needs

        order = remapping.RemapOrder(
            org_id=org,
            by=_by(),
            vendor=mappings.vendor_of_form(services, vendor).slug,
            form_id=form,
            since=_in_utc(since),
            dry_run=dry_run,
        )
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task("Mapping leads", total=None)
            async for step in remapping.remap(services, order):
                bar.update(task, total=step.total, completed=step.seen)
        would = "would change" if dry_run else "changed"
        say(
            f"Version {step.version}: {step.seen} leads seen, {step.changed} {would},"
            f" {step.without_answers} without answers to map."
        )

    return _for_org(org, config, map_leads)


def export(
    *,
    org: Annotated[str, Parameter(help="The organisation whose leads they are.")],
    format: Annotated[Literal["csv", "jsonl"], Parameter(help="CSV with a header, or JSON Lines.")] = "csv",
    form: Annotated[str, Parameter(help="Only leads of this form (the vendor's id).")] = "",
    since: Annotated[datetime | None, Parameter(help="Only leads that came then or later; UTC.")] = None,
    until: Annotated[datetime | None, Parameter(help="Only leads that came before then; UTC.")] = None,
    config: Config = None,
) -> int:
    """Print an organisation's leads, the oldest first: `moorage export --org acme > leads.csv`."""

    async def print_leads(services: "Services") -> None:
        from moorage.handover.exporting import ExportQuery, export_leads  # noqa: PLC0415 - as above

        await _refuse_unknown(services, org)
        query = ExportQuery(format=format, form_id=form, since=_in_utc(since), until=_in_utc(until))
        async for piece in export_leads(services, org, query, by=_by()):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    return _for_org(org, config, print_leads)


async def _refuse_unknown(services: "Services", org: str) -> None:
    """An org of whom there is nothing is most likely another one's name, written wrong."""
    async with services.storage.unit_of_work(org, reads_only=True) as uow:
        has_leads = (await uow.leads.page(page=1, page_size=1)).total > 0
    if not has_leads and not await services.storage.offboarding.count(org):
        msg = f"There is nothing of {org} here. Check the organisation's name."
        raise StoppedError(msg)


def forget_org(
    org: Annotated[str, Parameter(help="The organisation that leaves.")],
    *,
    dry_run: Annotated[bool, Parameter(help="Say what there is, change nothing.", negative="")] = False,
    yes: Annotated[bool, Parameter(help="Do not ask.", negative="")] = False,
    config: Config = None,
) -> int:
    """Delete everything that is an organisation's, with the keys that its sealed values need.

    The host may run. Vendors go on sending until its integrations are shut down; nobody keeps that here.
    """
    return _for_org(org, config, lambda services: _forget_org(services, org, dry_run=dry_run, yes=yes))


async def _forget_org(services: "Services", org: str, *, dry_run: bool, yes: bool) -> None:
    from moorage.privacy import leaving  # noqa: PLC0415 - needs what serving needs

    counts = await services.storage.offboarding.count(org)
    for table, number in sorted(counts.items()):
        say(f"{number:>10,}  {table}")
    total = sum(counts.values())
    if dry_run or not total:
        say(f"Would be deleted: {total:,} rows of {org}." if total else f"There is nothing of {org} here.")
        return
    if not yes and not _confirmed(f"Type {org} to delete these {total:,} rows: ", org):
        msg = f"That is not {org}. Nothing was deleted."
        raise StoppedError(msg)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows", total=total)
        removed = await leaving.forget_org(
            services.storage, org, lambda done: bar.update(task, completed=done, total=max(done, total))
        )
    say(f"Deleted: {sum(removed.values()):,} rows of {org}. Backups hold what they held.")


def _confirmed(question: str, answer: str) -> bool:
    """Whether somebody types the answer; nobody does where there is no terminal."""
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip() == answer
