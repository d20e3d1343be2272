"""L2: logs leave out what looks like a token of Facebook's, and nothing else."""

import pytest

from moorage.logging import REDACTED, Redactor
from moorage_facebook.plugin import TOKEN_SHAPES, moorage_vendor

CANARY = "cAnArY0123456789"


@pytest.mark.parametrize(
    "leak",
    [f"token EAAG{CANARY} was refused", f"token IGQV{CANARY} was refused", f"app 1234567890123|{CANARY}"],
)
def test_l2_a_token_is_left_out(leak: str) -> None:
    told = Redactor(TOKEN_SHAPES).text(leak)

    assert CANARY not in told
    assert REDACTED in told


def test_what_is_no_token_stays() -> None:
    harmless = "EAA, IG, post 61558812340917265_12 of IGNITION at 12|34"

    assert Redactor(TOKEN_SHAPES).text(harmless) == harmless


def test_the_host_is_told_the_shapes() -> None:
    assert moorage_vendor().token_shapes == TOKEN_SHAPES
