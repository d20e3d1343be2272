"""Sealing: what it promises about keys, moved and changed values, and about silence."""

import base64
import hmac
import itertools
import json
import os
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_adapters.cipher import (
    EnvelopeCipher,
    KeyedHash,
    Keyring,
    KeyringError,
    OrgKeys,
    fresh_nonces,
    length_prefixed,
)
from moorage_ports.secret_store import SealError


def _random_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def _write(path: Path, content: str, mode: int = 0o400) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def _keys(keyring: Keyring, org_id: str = "a") -> OrgKeys:
    cipher = EnvelopeCipher(keyring)
    return cipher.unwrap(org_id, cipher.mint(org_id))


# The keyring ---------------------------------------------------------------------------------


def test_v1_a_created_keyring_loads_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    made = Keyring.create(path)
    assert path.stat().st_mode & 0o777 == 0o400
    assert Keyring.load(path).fingerprints() == made.fingerprints()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "null",
        "[" * 100_000,
        '{"primary":"k1"}',
        '{"primary":"k1","keys":{}}',
        '{"primary":"k2","keys":{"k1":"' + _random_key() + '"}}',
        '{"primary":"k1","keys":{"k1":"' + base64.b64encode(os.urandom(31)).decode() + '"}}',
        '{"primary":"k1","keys":{"k1":"' + base64.b64encode(os.urandom(33)).decode() + '"}}',
        '{"primary":"k1","keys":{"k1":"'
        + base64.b64encode(b"correct horse battery staple 123").decode()
        + '"}}',
        '{"primary":"k1","keys":{"k1":"' + base64.b64encode(bytes(32)).decode() + '"}}',
        '{"primary":"k1","keys":{"k1":"not base64!"}}',
        '{"primary":"k 1","keys":{"k 1":"' + _random_key() + '"}}',
        '{"primary":"k1","keys":{"k1":"' + _random_key() + '"},"plaintext":true}',
    ],
    ids=range(14),
)
def test_v1_a_keyring_that_is_not_sound_stops_the_start(tmp_path: Path, content: str) -> None:
    path = _write(tmp_path / "keyring.json", content)
    with pytest.raises(KeyringError) as refused:
        Keyring.load(path)
    keys = [text for text in content.split('"') if len(text) > 40]
    assert not any(key in str(refused.value) for key in keys), "no key in a message"


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o660, 0o401])
def test_v1_a_keyring_that_others_may_touch_stops_the_start(tmp_path: Path, mode: int) -> None:
    path = _write(tmp_path / "keyring.json", '{"primary":"k1","keys":{"k1":"' + _random_key() + '"}}', mode)
    with pytest.raises(KeyringError, match="chmod 0400"):
        Keyring.load(path)


def test_v1_no_keyring_is_no_mode_without_encryption(tmp_path: Path) -> None:
    for nothing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(KeyringError):
            Keyring.load(nothing)


def test_a_keyring_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    before = Keyring.create(path)
    with pytest.raises(KeyringError):
        Keyring.create(path)
    assert Keyring.load(path).fingerprints() == before.fingerprints()


def test_a_keyring_does_not_show_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    ring = Keyring.create(path)
    (key,) = json.loads(path.read_text())["keys"].values()
    shown = repr(ring) + str(ring) + repr(ring.fingerprints())
    assert key not in shown
    assert base64.b64decode(key).hex() not in shown


def test_v3_an_old_key_unwraps_until_it_is_removed(keyring: Keyring) -> None:
    old_key = EnvelopeCipher(keyring).mint_one("a", 1)
    rotated = keyring.with_new_primary("k2")
    cipher = EnvelopeCipher(rotated)
    new_key = cipher.rewrap("a", old_key)
    assert (old_key.kek_id, new_key.kek_id) == ("k1", "k2")
    assert rotated.unwrap(old_key, org_id="a") == rotated.unwrap(new_key, org_id="a")
    pruned = rotated.without("k1")
    assert pruned.unwrap(new_key, org_id="a") == rotated.unwrap(new_key, org_id="a")
    with pytest.raises(SealError):
        pruned.unwrap(old_key, org_id="a")
    with pytest.raises(KeyringError):
        pruned.without("k2")
    with pytest.raises(KeyringError):
        rotated.with_new_primary("k1")


# Sealed values -------------------------------------------------------------------------------


@given(plaintext=st.binary(max_size=200), context=st.lists(st.text(max_size=10), max_size=4))
def test_what_was_sealed_opens_as_what_it_was(keyring: Keyring, plaintext: bytes, context: list[str]) -> None:
    keys = _keys(keyring)
    assert keys.open(keys.seal(plaintext, *context), *context) == plaintext


def test_v2_nothing_opens_anywhere_but_where_it_was_sealed(keyring: Keyring) -> None:
    """All pairs of org, vendor, owner type, owner, field, version."""
    cipher = EnvelopeCipher(keyring)
    orgs = {org_id: cipher.unwrap(org_id, cipher.mint(org_id)) for org_id in ("a", "b", "")}
    places = list(
        itertools.product(orgs, ("v", "w"), ("grant", "channel"), ("1", "2"), ("token", "name"), ("1", "2"))
    )
    sealed = {place: orgs[place[0]].seal(b"x", *place[1:]) for place in places}
    for here, there in itertools.product(places, places):
        if here == there:
            assert orgs[there[0]].open(sealed[here], *there[1:]) == b"x"
        else:
            with pytest.raises(SealError):
                orgs[there[0]].open(sealed[here], *there[1:])


def test_v2_a_data_key_does_not_unwrap_for_another_org_or_number(keyring: Keyring) -> None:
    wrapped = EnvelopeCipher(keyring).mint_one("a", 1)
    with pytest.raises(SealError):
        keyring.unwrap(wrapped, org_id="b")
    for changed in (
        attrs.evolve(wrapped, key_no=2),
        attrs.evolve(wrapped, kek_id="k9"),
        attrs.evolve(wrapped, sealed=wrapped.sealed[:-1]),
        attrs.evolve(wrapped, sealed=b""),
    ):
        with pytest.raises(SealError):
            keyring.unwrap(changed, org_id="a")


@given(
    st.lists(st.text(alphabet="ab|\0\x01", max_size=4), max_size=4),
    st.lists(st.text(alphabet="ab|\0\x01", max_size=4), max_size=4),
)
def test_v2_associated_data_is_injective(one: list[str], other: list[str]) -> None:
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_v2_parts_do_not_run_together() -> None:
    assert length_prefixed("a|b", "c") != length_prefixed("a", "b|c")


def test_v4_no_nonce_comes_twice(keyring: Keyring) -> None:
    keys = _keys(keyring)
    nonces = {keys.seal(b"")[5:17] for _ in range(100_000)}
    assert len(nonces) == 100_000


def test_v4_seals_are_counted_also_across_the_cache(keyring: Keyring) -> None:
    cipher = EnvelopeCipher(keyring)
    minted = cipher.mint("a")
    cipher.unwrap("a", minted).seal(b"")
    again = cipher.unwrap("a", minted)
    again.seal(b"")
    assert again.current.uses.unrecorded == 2


def test_v5_every_flipped_bit_is_noticed_and_nothing_is_told(keyring: Keyring) -> None:
    keys = _keys(keyring)
    sealed = keys.seal(b"canary", "row")
    for position in range(len(sealed) * 8):
        tampered = bytearray(sealed)
        tampered[position // 8] ^= 1 << position % 8
        with pytest.raises(SealError) as refused:
            keys.open(bytes(tampered), "row")
        assert str(refused.value) == ""
        assert refused.value.__cause__ is None


@given(st.binary(max_size=80))
def test_v5_whatever_lies_there_is_one_opaque_error(keyring: Keyring, blob: bytes) -> None:
    with pytest.raises(SealError):
        _keys(keyring).open(blob, "row")


def test_v5_every_shorter_value_is_the_same_error(keyring: Keyring) -> None:
    keys = _keys(keyring)
    sealed = keys.seal(b"canary", "row")
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            keys.open(sealed[:length], "row")


@given(key=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_v8_the_keyed_hash_is_hmac_sha256(key: bytes, message: bytes) -> None:
    assert KeyedHash(key).digest(message) == hmac.digest(key, message, "sha256")


def test_v4_nonces_drawn_at_once_are_as_many_and_as_different(keyring: Keyring) -> None:
    drawn = fresh_nonces(10_000)
    assert len(set(drawn)) == 10_000
    assert {len(nonce) for nonce in drawn} == {12}
    assert fresh_nonces(0) == []
    keys = _keys(keyring)
    sealed = keys.seal(b"x", "row", nonce=drawn[0])
    assert sealed[5:17] == drawn[0]
    assert keys.open(sealed, "row") == b"x"


def test_v8_a_keyed_hash_differs_between_orgs_and_labels_and_is_stable(keyring: Keyring) -> None:
    cipher = EnvelopeCipher(keyring)
    minted = cipher.mint("a")
    one, same, other = cipher.unwrap("a", minted), cipher.unwrap("a", minted), _keys(keyring, "b")
    assert one.digest("email", "x@y.example") == same.digest("email", "x@y.example")
    assert one.digest("email", "x@y.example") != other.digest("email", "x@y.example")
    assert one.digest("email", "x@y.example") != one.digest("phone", "x@y.example")
    assert len(one.digest("email", "\ud800")) == 16


# The cache -----------------------------------------------------------------------------------


def test_the_cache_forgets_by_age_and_by_number(keyring: Keyring) -> None:
    now = 0.0
    cipher = EnvelopeCipher(keyring, capacity=2, lifetime=timedelta(minutes=5), monotonic=lambda: now)
    for org_id in ("a", "b"):
        cipher.remember(_keys(keyring, org_id))
    assert cipher.cached("a") is not None
    cipher.remember(_keys(keyring, "c"))
    assert cipher.cached("b") is None, "the one used longest ago went"
    assert cipher.cached("a") is not None
    now = 300.0
    assert cipher.cached("a") is None
    cipher.remember(_keys(keyring, "a"))
    cipher.forget("a")
    assert cipher.cached("a") is None
    cipher.remember(_keys(keyring, "a"))
    cipher.forget()
    assert cipher.cached("a") is None
