"""The command line. Commands are named here and imported when called, so that `--help` is quick."""

import gc
import sys
from typing import Final

from cyclopts import App

_GARBAGE: Final = 1_000_000  # objects made and not yet gone before the collector looks: starts make fewer

app = App(name="moorage", help="An integration host: every vendor moors here, your product calls one API.")
app.command("moorage.demo:demo", name="demo", help="Host, sandbox and a seeded organisation on this machine.")
app.command("moorage.commands:serve", name="serve", help="Serve the host.")
app.command("moorage.commands:worker", name="worker", help="Do background work; as many as you like.")
app.command("moorage.commands:migrate", name="migrate", help="Bring the database up to date.")
app.command("moorage.commands:token", name="token", help="Print a token, as your platform would make it.")
app.command(
    "moorage.org_commands:create_account", name="create-account", help="Let somebody sign in at /admin."
)
app.command("moorage.org_commands:replay", name="replay", help="Work on kept deliveries again.")
app.command("moorage.org_commands:export", name="export", help="Print an organisation's leads, for a file.")
app.command("moorage.org_commands:forget_org", name="forget-org", help="Delete all of an organisation.")
app.command("moorage.commands:vendors", name="vendors", help="List the vendors that are installed.")
app.command(
    "moorage.org_commands:remap", name="remap", help="Map past leads by their form's current mapping."
)
app.command(
    "moorage.commands:check_config", name="check-config", help="Check the settings; print fingerprints."
)
app.command("moorage.commands:create_keys", name="create-keys", help="Make a keyring with one fresh key.")
keys = App(name="keys", help="The keyring, whose keys wrap every organisation's data keys.")
keys.command("moorage.commands:rotate_keys", name="rotate", help="Wrap all data keys with a fresh key.")
app.command(keys)


def main() -> None:
    """Run the command that the arguments name."""
    gc.set_threshold(_GARBAGE, 20, 50)  # a fifth of a start, which is what a crash costs
    sys.exit(app())
