"""States and tickets: nothing but what was handed out, for what it was handed out, is read."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.state import StateSigner, random_id
from moorage_ports.errors import InvalidStateError
from moorage_ports.secret import Secret

OLD, NEW = Secret("an-old-secret-of-at-least-32-bytes!"), Secret("a-new-secret-of-at-least-32-bytes!!")
SIGNER = StateSigner((NEW,))


def test_a_state_stands_for_its_id() -> None:
    identifier = random_id()

    assert SIGNER.read("state", SIGNER.sign("state", identifier)) == identifier


def test_state_mutants_are_all_refused_o1() -> None:
    """O1: 10,000 and more bit flips, truncations, insertions and swaps, none of them read."""
    state = SIGNER.sign("state", random_id())
    mutants = set(_bit_flips(state)) | set(_cuts(state)) | set(_replacements(state, count=12_000))
    mutants.discard(state)

    assert len(mutants) >= 10_000
    for mutant in mutants:
        with pytest.raises(InvalidStateError):
            SIGNER.read("state", mutant)


@given(st.text())
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(InvalidStateError):
        SIGNER.read("state", text)


@pytest.mark.parametrize("tail", ["\n", " ", "\x00", ".", "=", "A"])
def test_nothing_may_follow_a_state(tail: str) -> None:
    with pytest.raises(InvalidStateError):
        SIGNER.read("state", SIGNER.sign("state", random_id()) + tail)


def test_a_state_is_no_ticket_and_a_ticket_no_state() -> None:
    state, ticket = SIGNER.sign("state", random_id()), SIGNER.sign("ticket", random_id(), "o", "u", "v")

    for purpose, text, bound in (("ticket", state, ("o", "u", "v")), ("state", ticket, ())):
        with pytest.raises(InvalidStateError):
            SIGNER.read(purpose, text, *bound)


@given(
    mine=st.lists(st.text(max_size=8), min_size=1, max_size=4),
    theirs=st.lists(st.text(max_size=8), min_size=1, max_size=4),
)
def test_a_ticket_is_bound_to_exactly_what_it_was_signed_for(mine: list[str], theirs: list[str]) -> None:
    """("ab", "c") and ("a", "bc") are two different users, however they are strung together."""
    ticket = SIGNER.sign("ticket", random_id(), *mine)
    if mine == theirs:
        assert SIGNER.read("ticket", ticket, *theirs)
        return
    with pytest.raises(InvalidStateError):
        SIGNER.read("ticket", ticket, *theirs)


def test_while_a_secret_is_rotated_both_are_read_and_afterwards_one() -> None:
    state = StateSigner((OLD,)).sign("state", random_id())

    assert StateSigner((NEW, OLD)).read("state", state)
    with pytest.raises(InvalidStateError):
        StateSigner((NEW,)).read("state", state)


def test_ids_are_256_random_bits() -> None:
    ids = {random_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {len(each) for each in ids} == {43}


def _bit_flips(state: str) -> list[str]:
    raw = state.encode()
    flipped = []
    for position in range(len(raw)):
        for bit in range(8):
            mutant = bytearray(raw)
            mutant[position] ^= 1 << bit
            flipped.append(bytes(mutant).decode("latin-1"))
    return flipped


def _cuts(state: str) -> list[str]:
    return [state[:end] for end in range(len(state))] + [state[start:] for start in range(1, len(state))]


def _replacements(state: str, *, count: int) -> list[str]:
    dice = random.Random(20_301)
    alphabet = string.ascii_letters + string.digits + "-_.=%"
    mutants = []
    for _ in range(count):
        characters = list(state)
        for _ in range(dice.randint(1, 3)):
            position = dice.randrange(len(characters))
            if dice.random() < 0.8:
                characters[position] = dice.choice(alphabet)
            else:
                characters.insert(position, dice.choice(alphabet))
        mutants.append("".join(characters))
    return mutants
