"""What every `SecretStore` promises. Most questions are those that keyring's backends are asked."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest

from moorage_ports.errors import ConflictError
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef, SecretStore
from moorage_ports.testing.contract import Contract

OpenStore: TypeAlias = Callable[[str, str], SecretStore]

REF = SecretRef(owner_type="grant", owner_id="g-1", field="token")


class SecretStoreContract(Contract):
    """Subclass as `Test<Adapter>`; provide `open_store`, which opens one org's secrets at one vendor."""

    @pytest.fixture
    def store(self, open_store: OpenStore) -> SecretStore:
        """One org's secrets at one vendor."""
        return open_store("acme", "memory")

    @pytest.mark.parametrize(
        "value",
        [
            "plain",
            "ünïcødé ☕ 秘密",
            "",
            " blanks ",
            "two\nlines\ttab",
            "quote\"'`;--",
            "\x00nul",
            "x" * 70_000,
        ],
        ids=["plain", "unicode", "empty", "blanks", "lines", "quotes", "nul", "long"],
    )
    async def test_what_was_put_comes_back(self, store: SecretStore, value: str) -> None:
        """Every character of it."""
        version = await store.put(REF, Secret(value))

        opened = await store.get(REF)

        assert opened is not None
        assert opened.value == Secret(value)
        assert opened.version == version == 1

    @pytest.mark.parametrize("owner_id", ["a/b", "../x", "ünïcødé", "a b", "0", "x" * 200])
    async def test_owners_may_be_called_anything(self, store: SecretStore, owner_id: str) -> None:
        """Ids are the vendor's: nobody parses them."""
        await store.put(SecretRef(owner_type="channel", owner_id=owner_id, field="token"), Secret("value"))

        opened = await store.get(SecretRef(owner_type="channel", owner_id=owner_id, field="token"))

        assert opened is not None
        assert opened.value == Secret("value")

    async def test_what_was_never_put_is_not_there(self, store: SecretStore) -> None:
        """`None`, not an error."""
        assert await store.get(REF) is None

    async def test_owner_type_owner_and_field_are_kept_apart(self, store: SecretStore) -> None:
        """Names that would be the same when glued together are not."""
        refs = [
            SecretRef(owner_type="ab", owner_id="c", field="d"),
            SecretRef(owner_type="a", owner_id="bc", field="d"),
            SecretRef(owner_type="a", owner_id="b", field="cd"),
        ]
        for number, ref in enumerate(refs):
            await store.put(ref, Secret(str(number)))

        opened = [await store.get(ref) for ref in refs]

        assert [one.value.reveal() for one in opened if one] == ["0", "1", "2"]

    async def test_putting_again_replaces_and_counts_up(self, store: SecretStore) -> None:
        """Versions are 1, 2, 3 …"""
        versions = [await store.put(REF, Secret(value)) for value in ("a", "b", "c")]

        opened = await store.get(REF)

        assert versions == [1, 2, 3]
        assert opened is not None
        assert opened.value == Secret("c")

    async def test_an_outdated_version_is_refused(self, store: SecretStore) -> None:
        """`ConflictError`, and nothing was written."""
        await store.put(REF, Secret("first"))
        await store.put(REF, Secret("second"), expected_version=1)

        for outdated in (0, 1, 3):
            with pytest.raises(ConflictError):
                await store.put(REF, Secret("third"), expected_version=outdated)

        opened = await store.get(REF)
        assert opened is not None
        assert opened.value == Secret("second")

    async def test_version_zero_means_only_if_there_is_none(self, store: SecretStore) -> None:
        """The first one in wins."""
        assert await store.put(REF, Secret("first"), expected_version=0) == 1

        with pytest.raises(ConflictError):
            await store.put(REF, Secret("late"), expected_version=0)

    async def test_of_many_at_once_one_wins(self, store: SecretStore) -> None:
        """Compare-and-set holds under a race."""
        await store.put(REF, Secret("before"))

        outcomes = await asyncio.gather(
            *(store.put(REF, Secret(str(n)), expected_version=1) for n in range(20)), return_exceptions=True
        )

        winners = [n for n, outcome in enumerate(outcomes) if outcome == 2]
        assert len(winners) == 1
        assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == len(outcomes) - 1
        opened = await store.get(REF)
        assert opened is not None
        assert opened.value == Secret(str(winners[0]))

    async def test_forgetting_takes_one_owner_and_all_of_it(self, store: SecretStore) -> None:
        """Every field of that owner, nothing of any other; and says how many."""
        other = SecretRef(owner_type="grant", owner_id="g-2", field="token")
        namesake = SecretRef(owner_type="channel", owner_id="g-1", field="token")
        person = SecretRef(owner_type="grant", owner_id="g-1", field="person")
        for ref in (REF, person, other, namesake):
            await store.put(ref, Secret("value"))

        assert await store.forget(owner_type="grant", owner_id="g-1") == 2
        assert await store.forget(owner_type="grant", owner_id="g-1") == 0

        assert await store.get(REF) is None
        assert await store.get(person) is None
        assert await store.get(other) is not None
        assert await store.get(namesake) is not None

    async def test_what_was_forgotten_can_be_put_anew(self, store: SecretStore) -> None:
        """Nothing of the old one stands in the way."""
        await store.put(REF, Secret("old"))
        await store.forget(owner_type="grant", owner_id="g-1")

        await store.put(REF, Secret("new"), expected_version=0)

        opened = await store.get(REF)
        assert opened is not None
        assert opened.value == Secret("new")

    async def test_no_org_sees_anothers(self, open_store: OpenStore) -> None:
        """Neither reading nor forgetting crosses an org or a vendor."""
        mine, theirs, elsewhere = (
            open_store("acme", "memory"),
            open_store("globex", "memory"),
            open_store("acme", "other"),
        )
        await mine.put(REF, Secret("mine"))

        for stranger in (theirs, elsewhere):
            assert await stranger.get(REF) is None
            assert await stranger.forget(owner_type="grant", owner_id="g-1") == 0
            assert await stranger.put(REF, Secret("not yours"), expected_version=0) == 1

        opened = await mine.get(REF)
        assert opened is not None
        assert opened.value == Secret("mine")
