"""Secrets, connections under way, accounts: sealed, used once, found without being readable."""

import asyncio
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import ORG_KEY, SECRET
from moorage_ports.accounts import Account, Session
from moorage_ports.errors import ConflictError
from moorage_ports.integrations import ConnectAttempt, ConnectMode
from moorage_ports.operations import Role
from moorage_ports.secret import Secret
from moorage_ports.secret_store import OpenedSecret, SealError, SecretRef
from tests.unit.adapters.conftest import NOON, Opener
from tests.unit.adapters.things import VENDOR, arrival, change, connect, integration, lead

REF = SecretRef(owner_type="channel", owner_id="page-1", field="token")


async def test_a_secret_comes_back_with_its_version(storage: SqlStorage) -> None:
    store = storage.secrets("a", VENDOR)
    assert await store.get(REF) is None
    assert await store.put(REF, Secret("one")) == 1
    assert await store.put(REF, Secret("two \U0001f511")) == 2
    assert await store.get(REF) == OpenedSecret(value=Secret("two \U0001f511"), version=2)
    assert await storage.secrets("b", VENDOR).get(REF) is None
    assert await storage.secrets("a", "other").get(REF) is None


async def test_compare_and_set_lets_one_of_many_through(storage: SqlStorage) -> None:
    store = storage.secrets("a", VENDOR)
    assert await store.put(REF, Secret("made"), expected_version=0) == 1
    with pytest.raises(ConflictError):
        await store.put(REF, Secret("made"), expected_version=0)

    async def refresh(number: int) -> bool:
        try:
            await store.put(REF, Secret(f"refreshed {number}"), expected_version=1)
        except ConflictError:
            return False
        return True

    assert sum(await asyncio.gather(*map(refresh, range(20)))) == 1
    found = await store.get(REF)
    assert found is not None
    assert found.version == 2


async def test_forgetting_an_owner_takes_all_of_its_secrets_and_no_other(storage: SqlStorage) -> None:
    store = storage.secrets("a", VENDOR)
    other = attrs.evolve(REF, owner_id="page-2")
    for ref in (REF, attrs.evolve(REF, field="name"), other):
        await store.put(ref, Secret("x"))
    assert await store.forget(owner_type="channel", owner_id="page-1") == 2
    assert await store.get(REF) is None
    assert await store.get(other) is not None


async def test_what_is_put_in_a_unit_of_work_goes_with_it(storage: SqlStorage) -> None:
    async def fail() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.secrets(VENDOR).put(REF, Secret("x"))
            assert await uow.secrets(VENDOR).get(REF) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    store = storage.secrets("a", VENDOR)
    assert await store.get(REF) is None
    await store.put(REF, Secret("y"))
    storage.cipher.forget()
    assert await store.get(REF) == OpenedSecret(value=Secret("y"), version=1), "no rolled-back key was used"


async def test_v2_a_row_moved_to_another_owner_or_org_does_not_open(storage: SqlStorage) -> None:
    await storage.secrets("a", VENDOR).put(REF, Secret("x"))
    await storage.secrets("b", VENDOR).put(REF, Secret("y"))
    blob = sa.select(SECRET.c.value_sealed).where(SECRET.c.org_id == "a").scalar_subquery()
    await storage.database.write_at_once(
        lambda connection: (
            connection.execute(
                SECRET.update().where(SECRET.c.org_id == "b").values(value_sealed=blob)
            ).rowcount
        )
    )
    with pytest.raises(SealError):
        await storage.secrets("b", VENDOR).get(REF)


async def test_v3_keys_rewrap_while_the_host_works_and_the_old_one_can_go(
    storage: SqlStorage, storage_url: str, keyring: Keyring, clock: FixedClock
) -> None:
    for number in range(300):
        await storage.secrets(f"org-{number}", VENDOR).put(REF, Secret(str(number)))
    assert await storage.keys_by_kek() == {"k1": 600}
    rotated = await SqlStorage.open(storage_url, keyring.with_new_primary("k2"), clock)
    assert await rotated.rewrap_keys() == 600
    assert await rotated.rewrap_keys() == 0
    assert await rotated.keys_by_kek() == {"k2": 600}
    await rotated.aclose()
    pruned = await SqlStorage.open(storage_url, rotated.cipher.keyring.without("k1"), clock)
    found = await pruned.secrets("org-7", VENDOR).get(REF)
    assert found is not None
    assert found.value.reveal() == "7"
    await pruned.aclose()


async def test_v3_a_renewed_data_key_seals_and_the_old_one_still_opens(storage: SqlStorage) -> None:
    store = storage.secrets("a", VENDOR)
    other = attrs.evolve(REF, owner_id="page-2")
    await store.put(REF, Secret("old"))
    assert await storage.renew_key("a") == 2
    await store.put(other, Secret("new"))
    storage.cipher.forget()
    for ref, value in ((REF, "old"), (other, "new")):
        found = await store.get(ref)
        assert found is not None
        assert found.value.reveal() == value
    with pytest.raises(SealError):
        await storage.renew_key("never sealed")


async def test_v4_a_key_that_sealed_enough_is_renewed_by_itself(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage_adapters.sqlmodel.keys.SEALS_PER_BLOCK", 10)
    monkeypatch.setattr("moorage_adapters.sqlmodel.keys.SEALS_PER_KEY", 25)
    store = storage.secrets("a", VENDOR)
    for number in range(60):
        await store.put(REF, Secret(str(number)))
        found = await store.get(REF)
        assert found is not None
        assert found.value.reveal() == str(number)
        storage.cipher.forget("a")
    rows = await storage.database.read_at_once(
        lambda connection: connection.execute(
            sa.select(ORG_KEY.c.key_no).where(ORG_KEY.c.org_id == "a")
        ).all()
    )
    assert len(rows) >= 3, "the index key, the first key and its successors"


async def test_v6_shredding_an_org_makes_all_it_sealed_unreadable(storage: SqlStorage) -> None:
    for org_id in ("a", "b"):
        await storage.secrets(org_id, VENDOR).put(REF, Secret("x"))
    await storage.shred("a")
    with pytest.raises(SealError):
        await storage.secrets("a", VENDOR).get(REF)
    assert await storage.secrets("b", VENDOR).get(REF) is not None


async def test_a_wrong_keyring_opens_nothing_and_destroys_nothing(
    storage: SqlStorage, storage_url: str, tmp_path: Path, clock: FixedClock
) -> None:
    await storage.secrets("a", VENDOR).put(REF, Secret("x"))
    wrong = await SqlStorage.open(storage_url, Keyring.create(tmp_path / "other.json"), clock)
    with pytest.raises(SealError):
        await wrong.secrets("a", VENDOR).get(REF)
    with pytest.raises(SealError):
        await wrong.secrets("a", VENDOR).put(REF, Secret("y"))
    await wrong.aclose()
    assert await storage.secrets("a", VENDOR).get(REF) == OpenedSecret(value=Secret("x"), version=1)


# Connections under way -----------------------------------------------------------------------


def _attempt(**changes: object) -> ConnectAttempt:
    fields: dict[str, object] = {
        "id": "canary-state-0123456789",
        "org_id": "a",
        "user_id": "user-1",
        "email": "canary-user@shop.example",
        "vendor": VENDOR,
        "app_id": "app-1",
        "redirect_uri": "https://host.example/back",
        "return_url": "https://shop.example/done",
        "scopes": ("one", "two"),
        "mode": ConnectMode.TICKET,
        "session_id": "session-1",
        "created_at": NOON,
        "expires_at": NOON + timedelta(minutes=10),
    }
    return ConnectAttempt(**(fields | changes))  # type: ignore[arg-type]


async def test_o1_of_a_hundred_callers_one_gets_the_attempt(storage: SqlStorage) -> None:
    await storage.connect_attempts.begin(_attempt())
    taken = await asyncio.gather(
        *(storage.connect_attempts.consume(_attempt().id, vendor=VENDOR, now=NOON) for _ in range(100))
    )
    assert [one for one in taken if one is not None] == [_attempt()]


async def test_o1_an_attempt_is_of_its_vendor_and_runs_out(storage: SqlStorage) -> None:
    attempts = storage.connect_attempts
    await attempts.begin(_attempt())
    assert await attempts.consume(_attempt().id, vendor="other", now=NOON) is None
    assert await attempts.consume("unknown", vendor=VENDOR, now=NOON) is None
    assert await attempts.consume(_attempt().id, vendor=VENDOR, now=NOON + timedelta(minutes=10)) is None
    assert await attempts.consume(_attempt().id, vendor=VENDOR, now=NOON + timedelta(minutes=9)) == _attempt()


async def test_attempts_are_forgotten_a_day_after_they_ran_out(storage: SqlStorage) -> None:
    await storage.connect_attempts.begin(_attempt())
    assert await storage.connect_attempts.forget_expired(NOON + timedelta(days=1)) == 0
    assert await storage.connect_attempts.forget_expired(NOON + timedelta(days=1, minutes=10)) == 1


# Accounts ------------------------------------------------------------------------------------


def _account(**changes: object) -> Account:
    fields: dict[str, object] = {
        "id": "account-1",
        "org_id": "a",
        "email": "Canary-Admin@Shop.Example",
        "password_hash": "$argon2id$",
        "role": Role.ADMIN,
    }
    return Account(**(fields | changes))  # type: ignore[arg-type]


def _session(**changes: object) -> Session:
    fields: dict[str, object] = {
        "id": "session-1",
        "token_hash": "hash-1",
        "csrf_token": "canary-csrf",
        "account_id": "account-1",
        "org_id": "a",
        "email": "canary-admin@shop.example",
        "role": Role.AGENT,
        "created_at": NOON,
        "last_seen_at": NOON,
    }
    return Session(**(fields | changes))  # type: ignore[arg-type]


async def test_an_account_is_found_whatever_the_case_and_one_per_address(storage: SqlStorage) -> None:
    accounts = storage.accounts
    assert await accounts.by_email("nobody@shop.example") is None
    await accounts.save(_account())
    assert await accounts.by_email("canary-admin@SHOP.example") == _account()
    await accounts.save(_account(id="account-2", email="canary-admin@shop.example"))
    await accounts.save(_account(id="account-3", email="other@shop.example", org_id="b"))
    found = await accounts.by_email("CANARY-ADMIN@SHOP.EXAMPLE")
    assert found is not None
    assert found.id == "account-2"
    await accounts.save(_account(id="account-2", email="renamed@shop.example"))
    assert await accounts.by_email("canary-admin@shop.example") is None


async def test_who_may_sign_in_for_an_org_is_known_to_that_org(storage: SqlStorage) -> None:
    for org_id, names in (("a", ("ada", "bo")), ("b", ("cy",))):
        for name in names:
            account = Account(
                id=f"id-{name}",
                org_id=org_id,
                email=f"{name}@{org_id}.example",
                password_hash="x",
                role=Role.AGENT,
            )
            await storage.accounts.save(account)
    assert await storage.accounts.emails("a") == {"id-ada": "ada@a.example", "id-bo": "bo@a.example"}
    assert await storage.accounts.emails("b") == {"id-cy": "cy@b.example"}
    assert await storage.accounts.emails("c") == {}


async def test_a_session_lives_from_sign_in_to_sign_out(storage: SqlStorage) -> None:
    accounts = storage.accounts
    await accounts.open_session(_session())
    assert await accounts.session("hash-1") == _session()
    assert await accounts.session("hash-2") is None
    later = NOON + timedelta(minutes=5)
    await accounts.touch("session-1", later)
    assert await accounts.session("hash-1") == _session(last_seen_at=later)
    await accounts.close_session("session-1")
    assert await accounts.session("hash-1") is None


async def test_a_proof_is_kept_and_gives_the_session_another_cookie(storage: SqlStorage) -> None:
    accounts, later = storage.accounts, NOON + timedelta(minutes=20)
    await accounts.open_session(_session(proved_at=NOON))
    await accounts.open_session(_session(id="session-2", token_hash="hash-2"))
    assert await accounts.prove("session-1", later, token_hash="hash-3")
    assert await accounts.session("hash-1") is None
    proved = _session(token_hash="hash-3", proved_at=later, last_seen_at=later)
    assert await accounts.session("hash-3") == proved
    assert await accounts.session("hash-2") == _session(id="session-2", token_hash="hash-2")
    assert not await accounts.prove("session-9", later, token_hash="hash-4")
    assert await accounts.session("hash-4") is None


async def test_a_changed_account_is_signed_out_everywhere_and_nobody_else(storage: SqlStorage) -> None:
    accounts = storage.accounts
    await accounts.save(_account())
    await accounts.open_session(_session())
    await accounts.open_session(_session(id="session-2", token_hash="hash-2", account_id="account-2"))
    await accounts.save(_account(password_hash="another"))
    assert await accounts.session("hash-1") is None
    assert await accounts.session("hash-2") is not None
    await accounts.open_session(_session())
    await accounts.save(_account(id="account-3"))
    assert await accounts.session("hash-1") is None, "its account was replaced by one of the same address"


# What lies on the disk -----------------------------------------------------------------------


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_l1_no_secret_and_no_address_lies_readable_on_the_disk(
    open_storage: Opener, tmp_path: Path
) -> None:
    """V1: tokens, bodies, states, tickets, e-mail addresses of users; the CRM's own columns are plain."""
    storage = await open_storage(tmp_path / "m.db")
    await connect(storage, "a", "page-1")
    async with storage.unit_of_work("a") as uow:
        await uow.integrations.save(integration(notify_emails=("canary-notify@shop.example",)))
        await uow.leads.add(lead(email="plain-lead@customer.example"))
    await storage.secrets("a", VENDOR).put(REF, Secret("canary-token"))
    await storage.connect_attempts.begin(_attempt())
    await storage.accounts.save(_account())
    await storage.accounts.open_session(_session())
    body = b'{"canary-body":1}'
    await storage.intake.keep(
        arrival(
            change("canary-business-key", partition="canary-partition", body=body),
            change("canary-orphan-key", "nobody", body=body),
        )
    )
    await storage.aclose()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"plain-lead@customer.example" in content, "the scan reads what is there"
    assert b"canary" not in content.lower()


async def test_the_blind_index_is_the_same_for_every_org_and_survives_a_restart(
    open_storage: Opener, tmp_path: Path
) -> None:
    """V8."""
    storage = await open_storage(tmp_path / "m.db")
    first = await storage.blind_index("subject", Secret("person-1"))
    assert first != await storage.blind_index("subject", Secret("person-2"))
    assert first != await storage.blind_index("other", Secret("person-1"))
    again = await open_storage(tmp_path / "m.db")
    assert await again.blind_index("subject", Secret("person-1")) == first
