"""The platform's names and bodies, and what they become."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from moorage_facebook.operations import OPERATIONS, PostToPage, publish_post
from moorage_facebook.plugin import CAPABILITIES, moorage_vendor
from moorage_facebook.settings import GraphSettings
from moorage_ports.capabilities import Capability
from moorage_ports.errors import InvalidRequestError, UnsupportedError
from moorage_ports.plugin import SandboxPlan
from moorage_ports.publisher import PublishPost
from moorage_ports.secret import Secret

PHOTO = "https://img.example/a.jpg"
SOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_the_documents_names_are_bound() -> None:
    assert [binding.name for binding in OPERATIONS] == [
        "get-auth-url",
        "complete-connect",
        "list-channels",
        "select-channels",
        "post-to-page",
        "get-publication",
        "sync-activity",
        "reply-to-comment",
        "hide-comment",
        "private-reply",
        "send-message",
        "list-lead-forms",
        "get-lead-form",
        "get-lead",
        "backfill-leads",
        "get-backfill",
        "create-test-lead",
        "get-test-lead",
    ]


def test_a_post_in_the_platforms_words_becomes_a_neutral_one() -> None:
    assert publish_post(PostToPage(page_id="1", message="Hi", image=PHOTO)) == PublishPost(
        channel_external_id="1", text="Hi", images=(PHOTO,)
    )
    assert publish_post(PostToPage(page_id="1", images=(PHOTO, PHOTO))).images == (PHOTO, PHOTO)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (PostToPage(page_id="1"), "message"),
        (PostToPage(page_id="1", message="  \n"), "message"),
        (PostToPage(page_id="1", image=PHOTO, images=(PHOTO,)), "image"),
        (PostToPage(page_id="1", message="x", draft=True, publish_at=SOON), "publishAt"),
    ],
)
def test_a_body_that_says_too_little_or_too_much_is_refused(body: PostToPage, field: str) -> None:
    with pytest.raises(InvalidRequestError) as failure:
        publish_post(body)

    assert field in failure.value.fields


def test_a_post_for_later_and_a_draft_stay_what_they_are() -> None:
    assert publish_post(PostToPage(page_id="1", message="x", publish_at=SOON)).publish_at == SOON
    assert publish_post(PostToPage(page_id="1", message="x", draft=True)).is_draft


def test_a_video_is_said_to_be_missing_here_not_misspelt() -> None:
    with pytest.raises(UnsupportedError) as failure:
        publish_post(PostToPage(page_id="1", message="x", video="https://shop.example/film.mp4"))

    assert "images" in failure.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"page_id": ""},
        {"page_id": "../me"},
        {"page_id": "1/feed"},
        {"page_id": "٣"},
        {"link": "javascript:alert(1)"},
        {"image": "file:///etc/passwd"},
        {"image": "https://user:pw@img.example/a.jpg"},
        {"images": (PHOTO,) * 11},
        {"message": "x" * 63_207},
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(changes: Mapping[str, object]) -> None:
    body: dict[str, object] = {"page_id": "1", "message": "x", **changes}

    with pytest.raises(ValueError, match=r"."):
        PostToPage(**body)  # type: ignore[arg-type]


def test_every_capability_is_spoken_of() -> None:
    """Silence is no promise, so there is none."""
    assert set(CAPABILITIES) == set(Capability)


def test_the_sandbox_is_imported_only_when_asked_for() -> None:
    """The plugin works without the web framework that its sandbox needs."""
    vendor = moorage_vendor()
    assert vendor.sandbox is not None

    built = vendor.sandbox(SandboxPlan(base_url="http://s.test", host_url="http://h.test"))

    assert set(built.settings) <= set(vars_of(GraphSettings))
    assert "moorage_facebook.sandbox.app" in sys.modules


def vars_of(kind: type) -> list[str]:
    import attrs

    return [field.name for field in attrs.fields(kind)]


def test_an_operator_who_set_nothing_has_no_app() -> None:
    assert GraphSettings().app() is None
    assert GraphSettings(app_id="1").app() is None
    assert GraphSettings(app_secret=Secret("s")).app() is None


def test_w9_a_previous_secret_stays_live() -> None:
    """W9: the newest one signs."""
    app = GraphSettings(app_id="1", app_secret=Secret("new"), previous_app_secret=Secret("old")).app()

    assert app is not None
    assert app.secrets == (Secret("new"), Secret("old"))
    assert app.secret == Secret("new")


@pytest.mark.parametrize(
    "changes",
    [
        {"graph_url": "ftp://graph.facebook.com"},
        {"graph_url": "https://graph.facebook.com/"},
        {"dialog_url": "https://user@www.facebook.com"},
        {"api_version": "26"},
        {"api_version": "v26.0/../.."},
        {"app_id": "12a"},
    ],
)
def test_settings_that_would_lead_elsewhere_are_refused(changes: Mapping[str, str]) -> None:
    """S1: host and version are constants that an operator sets, not parts that anything glues together."""
    with pytest.raises(ValueError, match=r"."):
        GraphSettings(**changes)  # type: ignore[arg-type]
