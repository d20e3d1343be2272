"""Publications, and what idempotency keys stand for."""

from datetime import timedelta

import attrs

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.operations import PublicationStatus, Step
from moorage_ports.publications import Publication, RememberedCall
from moorage_ports.publisher import PublishPost
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import VENDOR


def _publication(number: int = 1, **changes: object) -> Publication:
    fields: dict[str, object] = {
        "id": f"publication-{number}",
        "integration_id": "integration-a",
        "vendor": VENDOR,
        "post": PublishPost(
            channel_external_id="page-1", text="Hello \U0001f44b", images=("https://img.example/1.png",)
        ),
        "status": PublicationStatus.PENDING,
        "notes": ("so",),
        "steps": (Step(name="publish", at=NOON, outcome="ok"),),
        "created_by": "user-1",
        "created_at": NOON + timedelta(seconds=number),
        "updated_at": NOON + timedelta(seconds=number),
    }
    return Publication(**(fields | changes))  # type: ignore[arg-type]


async def test_a_publication_comes_back_as_it_was_given(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.publications.save(_publication())
        assert await uow.publications.get("publication-1") == _publication()
        done = _publication(
            status=PublicationStatus.PUBLISHED, external_id="1_2", permalink="https://x.example"
        )
        await uow.publications.save(done)
        assert await uow.publications.get("publication-1") == done
    async with storage.unit_of_work("b") as uow:
        assert await uow.publications.get("publication-1") is None
        assert await uow.publications.latest(limit=9) == ()


async def test_the_latest_come_newest_first(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        for number in (2, 3, 1):
            await uow.publications.save(_publication(number))
        assert [one.id for one in await uow.publications.latest(limit=2)] == [
            "publication-3",
            "publication-2",
        ]


async def test_the_posts_that_publications_account_for_are_known_by_channel_and_time(
    storage: SqlStorage,
) -> None:
    """A look for a lost post leaves them out, however many publications there are."""
    early, late = NOON, NOON + timedelta(hours=1)
    elsewhere = PublishPost(channel_external_id="page-2", text="Hello")
    async with storage.unit_of_work("a") as uow:
        await uow.publications.save(_publication(1, external_id="1_1", updated_at=early))
        await uow.publications.save(_publication(2, external_id="1_2", created_at=early, updated_at=late))
        await uow.publications.save(_publication(3, external_id="2_3", post=elsewhere, updated_at=late))
        await uow.publications.save(_publication(4, external_id="1_4", vendor="other", updated_at=late))
        await uow.publications.save(_publication(5, updated_at=late))
    async with storage.unit_of_work("b") as uow:
        await uow.publications.save(_publication(6, external_id="1_6", updated_at=late))
    async with storage.unit_of_work("a") as uow:
        assert await uow.publications.known_posts(VENDOR, "page-1", since=late) == {"1_2"}
        assert await uow.publications.known_posts(VENDOR, "page-1", since=early) == {"1_1", "1_2"}


async def test_the_unsettled_are_found_in_one_org_and_over_all(storage: SqlStorage) -> None:
    old, new = NOON, NOON + timedelta(hours=1)
    for org_id in ("a", "b"):
        async with storage.unit_of_work(org_id) as uow:
            await uow.publications.save(_publication(1, status=PublicationStatus.PUBLISHING, updated_at=old))
            await uow.publications.save(_publication(2, status=PublicationStatus.UNCONFIRMED, updated_at=old))
            await uow.publications.save(_publication(3, status=PublicationStatus.UNCONFIRMED, updated_at=new))
            await uow.publications.save(_publication(4, status=PublicationStatus.PUBLISHED, updated_at=old))
            await uow.publications.save(_publication(5, status=PublicationStatus.PENDING, updated_at=old))
            await uow.publications.save(_publication(6, status=PublicationStatus.SCHEDULED, updated_at=old))
            found = await uow.publications.unsettled(before=new)
            assert [one.id for one in found] == ["publication-1", "publication-2", "publication-5"]
    everywhere = await storage.backlog.unsettled_publications(new)
    assert sorted(everywhere) == [(org, f"publication-{n}") for org in ("a", "b") for n in (1, 2, 5)]
    everywhere = await storage.backlog.unsettled_publications(new + timedelta(days=1))
    assert ("a", "publication-6") in everywhere, "its own nudge may have been lost"


async def test_a_key_stands_for_its_first_call(storage: SqlStorage) -> None:
    call = RememberedCall(body_hash="h", subject_id="publication-1")
    async with storage.unit_of_work("a") as uow:
        assert await uow.remembered_calls.begin("publish", "key", call, now=NOON) is None
        running = attrs.evolve(call, begun_at=NOON)
        assert await uow.remembered_calls.begin("publish", "key", call, now=NOON + timedelta(1)) == running
        assert await uow.remembered_calls.begin("reply", "key", call, now=NOON) is None
        await uow.remembered_calls.finish("publish", "key", status=200, response=b'{"id":"1"}')
    later = NOON + timedelta(days=6, hours=23)
    async with storage.unit_of_work("a") as uow:
        found = await uow.remembered_calls.begin("publish", "key", call, now=later)
        assert found == RememberedCall(
            body_hash="h", subject_id="publication-1", status=200, response=b'{"id":"1"}', begun_at=NOON
        )
    async with storage.unit_of_work("b") as uow:
        assert await uow.remembered_calls.begin("publish", "key", call, now=NOON) is None


async def test_a_key_is_free_again_when_forgotten_or_after_seven_days(storage: SqlStorage) -> None:
    call = RememberedCall(body_hash="h", subject_id="1")
    async with storage.unit_of_work("a") as uow:
        await uow.remembered_calls.begin("publish", "key", call, now=NOON)
        await uow.remembered_calls.forget("publish", "key")
        assert await uow.remembered_calls.begin("publish", "key", call, now=NOON) is None
        in_a_week = NOON + timedelta(days=7)
        assert await uow.remembered_calls.begin("publish", "key", call, now=in_a_week) is None
