"""What the commands for a whole host do, apart from the demo."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from moorage.auth import issue_token
from moorage.catalogue import NO_VENDOR, provider_of
from moorage.logging import configure_logging
from moorage.settings import CannotStartError, Settings
from moorage.terminal import BAD_ORG, WRONG_SETTINGS, Config, fail, run, say, settings_of
from moorage.vendors import Vendors, installed_vendors
from moorage_ports.capabilities import Capability
from moorage_ports.operations import Role
from moorage_ports.values import ORG_ID


def serve(
    *,
    config: Config = None,
    jobs: Annotated[bool, Parameter(help="Also do the background work in this process.")] = True,
) -> int:
    """Serve the host until a signal."""
    found = installed_vendors()
    settings = settings_of(found, config)
    if settings is None:
        return WRONG_SETTINGS
    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    if not found.by_slug:
        say(NO_VENDOR)
    return run(lambda: _serve(settings, found, jobs=jobs))


async def _serve(settings: Settings, found: Vendors, *, jobs: bool) -> None:
    from moorage.app import create_app  # noqa: PLC0415 - the web framework is most of the start's time
    from moorage.bootstrap import assembled  # noqa: PLC0415
    from moorage.serving import Site, listening, served_at, working  # noqa: PLC0415
    from moorage.serving import serve as serve_sites  # noqa: PLC0415

    async with assembled(settings, found) as services:
        site = Site(
            app=create_app(services),  # type: ignore[arg-type] # narrower types for the same protocol
            socket=listening(settings.host, settings.port, chosen_by="MOORAGE_PORT"),
            trusted_proxies=settings.trusted_proxies,
            notes_peers=bool(settings.webhook_client_cn_header),
        )
        ready = served_at(settings.public_url, site.socket)
        if not jobs:
            await serve_sites(site, ready=lambda: say(ready))
            return
        async with working(services):
            await serve_sites(site, ready=lambda: say(ready))


def worker(
    *,
    config: Config = None,
    port: Annotated[
        int | None, Parameter(help="Answer /healthz, /readyz and /metrics here; 0 takes any free port.")
    ] = None,
) -> int:
    """Do the background work until a signal. Any number of these may run, and any of them may die."""
    found = installed_vendors()
    settings = settings_of(found, config)
    if settings is None:
        return WRONG_SETTINGS
    if settings.database_url.startswith("sqlite"):
        fail("Workers share a PostgreSQL. On SQLite `moorage serve` does the background work by itself.")
        return WRONG_SETTINGS
    configure_logging(settings.log_level, token_shapes=found.token_shapes)
    return run(lambda: _work(settings, found, port))


async def _work(settings: Settings, found: Vendors, port: int | None) -> None:
    from moorage.app import create_health_app  # noqa: PLC0415
    from moorage.bootstrap import assembled  # noqa: PLC0415
    from moorage.serving import (  # noqa: PLC0415
        Site,
        listening,
        port_of,
        tune_the_interpreter,
        until_told,
        working,
    )
    from moorage.serving import serve as serve_sites  # noqa: PLC0415

    async with assembled(settings, found) as services, working(services):
        if port is None:
            tune_the_interpreter()
            say("Moorage works.")
            await until_told()
            return
        site = Site(
            app=create_health_app(services),  # type: ignore[arg-type] # narrower types for the same protocol
            socket=listening(settings.host, port, chosen_by="--port"),
        )
        await serve_sites(
            site, ready=lambda: say(f"Moorage works; its health is at port {port_of(site.socket)}.")
        )


def migrate(*, config: Config = None) -> int:
    """Bring the database to the newest version of its schema."""
    from moorage.bootstrap import migrate as migrate_database  # noqa: PLC0415

    settings = settings_of(installed_vendors(), config)
    if settings is None:
        return WRONG_SETTINGS

    async def bring_up() -> None:
        say(f"The database is at version {await migrate_database(settings)}.")

    return run(bring_up)


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
    settings = settings_of(installed_vendors(), config)
    if settings is None:
        return WRONG_SETTINGS
    if not ORG_ID.fullmatch(org):
        return fail(BAD_ORG)
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
        return fail(f"{wrong}.")
    say(made)
    return 0


def vendors() -> int:
    """List the vendors that are installed, what they can do, and those that were left out."""
    found = installed_vendors()
    console = Console(highlight=False)
    if not found.by_slug:
        say(NO_VENDOR)
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
    settings = settings_of(installed_vendors(), config)
    if settings is None:
        return WRONG_SETTINGS
    for name, shown in settings.fingerprints().items():
        say(f"{name} = {shown}")
    return 0


def create_keys(path: Path) -> int:
    """Make a keyring with one fresh key, readable by its owner only."""
    from moorage.bootstrap import create_keyring  # noqa: PLC0415

    try:
        create_keyring(path)
    except CannotStartError as failure:
        return fail(str(failure))
    say(f"A new keyring is at {path}. Keep a copy elsewhere: without it nothing that was sealed opens again.")
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

    settings = settings_of(installed_vendors(), config)
    if settings is None:
        return WRONG_SETTINGS

    async def add() -> None:
        say(f"{add_key(settings)} is in the keyring. Once every machine has it, rotate.")

    if add_only:
        return run(add)

    async def turn_over() -> None:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("data keys", total=None)
            rotated = await rotate(
                settings, lambda done, total: bar.update(task, completed=done, total=max(done, total))
            )
        say(f"{rotated.primary} wraps all data keys now; {rotated.rewrapped} were wrapped anew.")
        if not rotated.is_new:
            say("That finished an earlier rotation. Run this again for a fresh key.")
        if rotated.old:
            kept = ", ".join(rotated.old)
            say(f"Keep {kept} in the keyring for as long as you keep backups of the database from before.")

    return run(turn_over)
