"""Fail points: named places at which a test may have the process killed, to prove that nothing is lost there.

`MOORAGE_FAIL_POINT=P6` kills with SIGKILL when P6 is reached, `P6:3` when it is reached the third time.
Read once, when this module is imported; without it a fail point is one dictionary lookup.
"""

import os
import signal

_ARMED: dict[str, int] = {}


def arm(setting: str) -> None:
    """Arm what `setting` (`NAME` or `NAME:nth`) says; empty disarms."""
    _ARMED.clear()
    name, _, count = setting.partition(":")
    if name:
        _ARMED[name] = int(count or "1")


def fail_point(name: str) -> None:
    """Die here, at once and without clean-up, if this point is armed and its turn has come."""
    if name not in _ARMED:
        return
    _ARMED[name] -= 1
    if _ARMED[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("MOORAGE_FAIL_POINT", ""))
