"""What the commands do, apart from the demo."""

import getpass
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from moorage.auth import issue_token
from moorage.catalogue import NO_VENDOR, provider_of
from moorage.logging import configure_logging
from moorage.settings import CannotStartError, Settings, SettingsError, load_settings
from moorage.vendors import Vendors, installed_vendors
from moorage_ports.capabilities import Capability
from moorage_ports.errors import NotFoundError, UnavailableError
from moorage_ports.inbox import ItemState
from moorage_ports.operations import Role
from moorage_ports.values import ORG_ID

if TYPE_CHECKING:
    from moorage.replay import ReplayOrder

Config = Annotated[Path | None, Parameter(help="A TOML file with settings; variables win over it.")]

_WRONG_SETTINGS = 2
_NOT_READY = 3


def serve(
    *,
    config: Config = None,
    jobs: Annotated[bool, Parameter(help="Also do the background work in this process.")] = True,
) -> int:
    """Serve the host until a signal."""
    found = installed_vendors()
    settings = _settings(found, config)
    if settings is None:
        return _WRONG_SETTINGS
    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    if not found.by_slug:
        _say(NO_VENDOR)
    return _run(lambda: _serve(settings, found, jobs=jobs))


async def _serve(settings: Settings, found: Vendors, *, jobs: bool) -> None:
    from moorage.app import create_app  # noqa: PLC0415 - the web framework is most of the start's time
    from moorage.bootstrap import assembled  # noqa: PLC0415
    from moorage.serving import Site, listening, working  # noqa: PLC0415
    from moorage.serving import serve as serve_sites  # noqa: PLC0415

    async with assembled(settings, found) as services:
        site = Site(
            app=create_app(services),  # type: ignore[arg-type] # narrower types for the same protocol
            socket=listening(settings.host, settings.port),
            trusted_proxies=settings.trusted_proxies,
            notes_peers=bool(settings.webhook_client_cn_header),
        )
        ready = f"Moorage serves {settings.public_url}"
        if not jobs:
            await serve_sites(site, ready=lambda: _say(ready))
            return
        async with working(services):
            await serve_sites(site, ready=lambda: _say(ready))


def worker(
    *,
    config: Config = None,
    port: Annotated[
        int | None, Parameter(help="Answer /healthz, /readyz and /metrics here; 0 takes any free port.")
    ] = None,
) -> int:
    """Do the background work until a signal. Any number of these may run, and any of them may die."""
    found = installed_vendors()
    settings = _settings(found, config)
    if settings is None:
        return _WRONG_SETTINGS
    if settings.database_url.startswith("sqlite"):
        _fail("Workers share a PostgreSQL. On SQLite `moorage serve` does the background work by itself.")
        return _WRONG_SETTINGS
    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    return _run(lambda: _work(settings, found, port))


async def _work(settings: Settings, found: Vendors, port: int | None) -> None:
    from moorage.app import create_health_app  # noqa: PLC0415
    from moorage.bootstrap import assembled  # noqa: PLC0415
    from moorage.serving import Site, listening, port_of, until_told, working  # noqa: PLC0415
    from moorage.serving import serve as serve_sites  # noqa: PLC0415

    async with assembled(settings, found) as services, working(services):
        if port is None:
            _say("Moorage works.")
            await until_told()
            return
        site = Site(
            app=create_health_app(services),  # type: ignore[arg-type] # narrower types for the same protocol
            socket=listening(settings.host, port),
        )
        await serve_sites(
            site, ready=lambda: _say(f"Moorage works; its health is at port {port_of(site.socket)}.")
        )


def migrate(*, config: Config = None) -> int:
    """Bring the database to the newest version of its schema."""
    from moorage.bootstrap import migrate as migrate_database  # noqa: PLC0415

    settings = _settings(installed_vendors(), config)
    if settings is None:
        return _WRONG_SETTINGS

    async def bring_up() -> None:
        _say(f"The database is at version {await migrate_database(settings)}.")

    return _run(bring_up)


def token(
    *,
    org: Annotated[str, Parameter(help="The organisation it speaks for.")],
    user: Annotated[str, Parameter(help="The platform's id of the user.")] = "cli",
    role: Annotated[Role, Parameter(help="viewer, agent or admin.")] = Role.ADMIN,
    ttl: Annotated[int, Parameter(help="Seconds; at most what the settings allow.")] = 3600,
    email: Annotated[str, Parameter(help="Where warnings about what this user connects go.")] = "",
    config: Config = None,
) -> int:
    """Print a token as the platform would make it."""
    settings = _settings(installed_vendors(), config)
    if settings is None:
        return _WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return _fail("An org is 1 to 64 letters, digits, _ or -.")
    try:
        made = issue_token(
            settings.jwt,
            org_id=org,
            user_id=user,
            role=role,
            now=datetime.now(UTC),
            lifetime=timedelta(seconds=ttl),
            email=email,
        )
    except ValueError as wrong:
        return _fail(f"{wrong}.")
    _say(made)
    return 0


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
    dry_run: Annotated[
        bool, Parameter(help="List what would be replayed, change nothing.", negative="")
    ] = False,
    config: Config = None,
) -> int:
    """Work on kept deliveries again, as if they had just come. What had its effect has none a second time."""
    found = installed_vendors()
    settings = _settings(found, config)
    if settings is None:
        return _WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return _fail("An org is 1 to 64 letters, digits, _ or -.")
    from moorage import replay as replaying  # noqa: PLC0415 - needs what serving needs

    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    if state is not None:
        states: tuple[ItemState, ...] = (ItemState(state),)
    else:
        states = (ItemState.DEAD, ItemState.DONE) if id else (ItemState.DEAD,)
    order = replaying.ReplayOrder(
        org_id=org,
        by=f"cli:{getpass.getuser()}",
        states=states,
        ids=id,
        vendor=vendor,
        kind=kind,
        error=error,
    )
    return _run(lambda: _replay(settings, found, order, dry_run=dry_run))


async def _replay(settings: Settings, found: Vendors, order: "ReplayOrder", *, dry_run: bool) -> None:
    from moorage import replay as replaying  # noqa: PLC0415 - needs what serving needs
    from moorage.bootstrap import assembled  # noqa: PLC0415

    async with assembled(settings, found) as services:
        if not dry_run:
            _say(f"Replayed: {await replaying.replay(services, order)}.")
            return
        items = await replaying.find(services, order)
        for item in items:
            received = f"{item.received_at:%Y-%m-%d %H:%M:%S}Z"
            _say(
                f"{item.id}  {item.state.value}  {received}  {item.vendor}  {item.kind}"
                f"  tries {item.tries}  {item.error}".rstrip()
            )
        more = " or more" if len(items) == replaying.AT_ONCE else ""
        _say(f"Would be replayed: {len(items)}{more}.")


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
    found = installed_vendors()
    settings = _settings(found, config)
    if settings is None:
        return _WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return _fail("An org is 1 to 64 letters, digits, _ or -.")
    having = [each.slug for each in found if each.lead_source is not None and vendor in {"", each.slug}]
    if len(having) != 1:
        return _fail(f"Say --vendor, one of: {', '.join(having) or NO_VENDOR}.")
    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    at = since.replace(tzinfo=UTC) if since is not None and since.tzinfo is None else since

    async def run() -> None:
        from moorage.bootstrap import assembled  # noqa: PLC0415 - needs what serving needs
        from moorage.leads import remapping  # noqa: PLC0415

        order = remapping.RemapOrder(
            org_id=org,
            by=f"cli:{getpass.getuser()}",
            vendor=having[0],
            form_id=form,
            since=at,
            dry_run=dry_run,
        )
        async with assembled(settings, found) as services:
            with Progress(console=Console(stderr=True)) as bar:
                task = bar.add_task("Mapping leads", total=None)
                async for step in remapping.remap(services, order):
                    bar.update(task, total=step.total, completed=step.seen)
        would = "would change" if dry_run else "changed"
        _say(
            f"Version {step.version}: {step.seen} leads seen, {step.changed} {would},"
            f" {step.without_answers} without answers to map."
        )

    return _run(run)


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
    found = installed_vendors()
    settings = _settings(found, config)
    if settings is None:
        return _WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return _fail("An org is 1 to 64 letters, digits, _ or -.")
    configure_logging(settings.log_level, token_shapes=found.token_shapes)

    async def print_leads() -> None:
        from moorage.bootstrap import assembled  # noqa: PLC0415 - needs what serving needs
        from moorage.handover.exporting import ExportQuery, export_leads  # noqa: PLC0415

        query = ExportQuery(format=format, form_id=form, since=_in_utc(since), until=_in_utc(until))
        async with assembled(settings, found) as services:
            async for piece in export_leads(services, org, query, by=f"cli:{getpass.getuser()}"):
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    return _run(print_leads)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


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
    found = installed_vendors()
    settings = _settings(found, config)
    if settings is None:
        return _WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return _fail("An org is 1 to 64 letters, digits, _ or -.")
    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    return _run(lambda: _forget_org(settings, found, org, dry_run=dry_run, yes=yes))


async def _forget_org(settings: Settings, found: Vendors, org: str, *, dry_run: bool, yes: bool) -> None:
    from moorage.bootstrap import assembled  # noqa: PLC0415 - needs what serving needs
    from moorage.privacy import leaving  # noqa: PLC0415

    async with assembled(settings, found) as services:
        counts = await services.storage.offboarding.count(org)
        for table, number in sorted(counts.items()):
            _say(f"{number:>10,}  {table}")
        total = sum(counts.values())
        if dry_run or not total:
            _say(
                f"Would be deleted: {total:,} rows of {org}." if total else f"There is nothing of {org} here."
            )
            return
        if not yes and not _confirmed(f"Type {org} to delete these {total:,} rows: ", org):
            _say("Nothing was deleted.")
            return
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("rows", total=total)
            removed = await leaving.forget_org(
                services.storage, org, lambda done: bar.update(task, completed=done, total=max(done, total))
            )
        _say(f"Deleted: {sum(removed.values()):,} rows of {org}. Backups hold what they held.")


def _confirmed(question: str, answer: str) -> bool:
    """Whether somebody types the answer; nobody does where there is no terminal."""
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip() == answer


def vendors() -> int:
    """List the vendors that are installed, what they can do, and those that were left out."""
    found = installed_vendors()
    console = Console(highlight=False)
    if not found.by_slug:
        _say(NO_VENDOR)
    for vendor in found:
        table = Table(
            "capability", "support", title=f"{vendor.title} ({provider_of(vendor)})", title_justify="left"
        )
        for capability in Capability:
            table.add_row(capability.value, vendor.support(capability).value)
        console.print(table)
        console.print("operations:", ", ".join(binding.name for binding in vendor.operations), "\n")
    for name, reason in sorted(found.broken.items()):
        console.print(f"left out: {name}: {reason}", markup=False)
    return 1 if found.broken else 0


def check_config(*, config: Config = None) -> int:
    """Check the settings and print them; of secrets only fingerprints."""
    settings = _settings(installed_vendors(), config)
    if settings is None:
        return _WRONG_SETTINGS
    for name, shown in settings.fingerprints().items():
        _say(f"{name} = {shown}")
    return 0


def create_keys(path: Path) -> int:
    """Make a keyring with one fresh key, readable by its owner only."""
    from moorage.bootstrap import create_keyring  # noqa: PLC0415

    try:
        create_keyring(path)
    except CannotStartError as failure:
        return _fail(str(failure))
    _say(
        f"A new keyring is at {path}. Keep a copy elsewhere: without it nothing that was sealed opens again."
    )
    return 0


def rotate_keys(
    *,
    add_only: Annotated[
        bool, Parameter(help="Only put the fresh key into the keyring, to copy that elsewhere.", negative="")
    ] = False,
    config: Config = None,
) -> int:
    """Make a fresh key that wraps all data keys from now on. The host may run; interrupted, it goes on."""
    from moorage.bootstrap import add_key  # noqa: PLC0415
    from moorage.bootstrap import rotate_keys as rotate  # noqa: PLC0415

    settings = _settings(installed_vendors(), config)
    if settings is None:
        return _WRONG_SETTINGS

    async def add() -> None:
        _say(f"{add_key(settings)} is in the keyring. Once every machine has it, rotate.")

    if add_only:
        return _run(add)

    async def turn_over() -> None:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("data keys", total=None)
            rotated = await rotate(
                settings, lambda done, total: bar.update(task, completed=done, total=max(done, total))
            )
        _say(f"{rotated.primary} wraps all data keys now; {rotated.rewrapped} were wrapped anew.")
        if not rotated.is_new:
            _say("That finished an earlier rotation. Run this again for a fresh key.")
        if rotated.old:
            kept = ", ".join(rotated.old)
            _say(f"Keep {kept} in the keyring for as long as you keep backups of the database from before.")

    return _run(turn_over)


def _settings(found: Vendors, config: Path | None) -> Settings | None:
    """The settings, or `None` after saying everything that is wrong with them."""
    try:
        return load_settings(found, config=config)
    except SettingsError as wrong:
        _fail("The settings do not hold:\n" + "\n".join(f"  - {problem}" for problem in wrong.problems))
        return None


def _run(action: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run to the end. What an operator can put right is a sentence, everything else a traceback."""
    from moorage.serving import run  # noqa: PLC0415

    try:
        run(action)
    except (CannotStartError, OSError, UnavailableError, NotFoundError) as failure:
        _fail(f"{failure} {getattr(failure, 'remedy', '')}".strip())
        return _NOT_READY
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1
