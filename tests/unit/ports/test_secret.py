"""A secret shows itself to nobody who did not ask for it by name."""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_ports.secret import Secret

PLAIN = "EAAB-not-a-real-token"


def test_every_way_of_printing_redacts() -> None:
    """V7: repr, str, format, percent and f-string."""
    secret = Secret(PLAIN)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret}",
        [secret].__repr__(),
    ):
        assert PLAIN not in shown


def test_it_does_not_travel() -> None:
    """V7: no pickle, no copy, no JSON."""
    secret = Secret(PLAIN)
    for travel in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            travel(secret)


@given(st.text(), st.text())
def test_equality_is_that_of_the_plaintext(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one).reveal() == one
    assert Secret(one) != one
