"""What commands share: their settings, what they say, and how they end."""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from moorage.settings import CannotStartError, Settings, SettingsError, load_settings
from moorage.vendors import Vendors
from moorage_ports.errors import InvalidRequestError, MoorageError

Config = Annotated[Path | None, Parameter(help="A TOML file with settings; variables win over it.")]

WRONG_SETTINGS: Final = 2
NOT_READY: Final = 3
BAD_ORG: Final = "An org is 1 to 64 letters, digits, _ or -."


class StoppedError(Exception):
    """A command did not do what it was asked to, and nothing is broken: it says why, and ends with 1."""


def settings_of(found: Vendors, config: Path | None) -> Settings | None:
    """The settings, or `None` after saying everything that is wrong with them."""
    try:
        return load_settings(found, config=config)
    except SettingsError as wrong:
        fail("The settings do not hold:\n" + "\n".join(f"  - {problem}" for problem in wrong.problems))
        return None


def run(action: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run to the end. What an operator can put right is a sentence, everything else a traceback."""
    from moorage.serving import run as run_to_the_end  # noqa: PLC0415

    try:
        run_to_the_end(action)
    except StoppedError as stopped:
        return fail(str(stopped))
    except (CannotStartError, OSError, MoorageError) as failure:
        fields = failure.fields.items() if isinstance(failure, InvalidRequestError) else ()
        wrong = "".join(f" ({name}: {text})" for name, text in fields)
        remedy = getattr(failure, "remedy", "")
        fail(f"{failure}{wrong}. {remedy}" if remedy else f"{failure}{wrong}")
        return NOT_READY
    return 0


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fail(text: str) -> int:
    """A line on standard error; answers how the command ends."""
    sys.stderr.write(text + "\n")
    return 1
