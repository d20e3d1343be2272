"""The official SDK reads and answers what people say in the sandbox: comments, reactions, messages."""

from collections.abc import Iterator

import attrs
import pytest
from facebook_business.adobjects.comment import Comment
from facebook_business.adobjects.igcomment import IGComment
from facebook_business.adobjects.igmedia import IGMedia
from facebook_business.adobjects.page import Page
from facebook_business.adobjects.pagepost import PagePost
from facebook_business.adobjects.unifiedthread import UnifiedThread
from facebook_business.adobjects.user import User
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError

from tests.oracles.official_sdk import official_sdk
from tests.oracles.sandbox import PAGE, ServedSandbox


@attrs.frozen(kw_only=True)
class Sdk:
    """The SDK as a Page."""

    sandbox: ServedSandbox
    api: FacebookAdsApi

    @property
    def page(self) -> Page:
        return Page(PAGE, api=self.api)

    def newest_post(self) -> PagePost:
        return PagePost(next(iter(self.page.get_feed()))["id"], api=self.api)


@pytest.fixture
def sdk(sandbox: ServedSandbox) -> Iterator[Sdk]:
    with official_sdk(sandbox, sandbox.page_token(sandbox.user_token())) as api:
        yield Sdk(sandbox=sandbox, api=api)


def test_the_cursors_of_a_long_wall_meet_everything_once(sdk: Sdk) -> None:
    sdk.sandbox.control("bulk", posts=3, commentsPerPost=120, reactionsPerPost=110)
    comments: list[str] = []
    reactions: list[tuple[str, str]] = []
    for post in sdk.page.get_feed(fields=["message", "updated_time"], params={"limit": 100}):
        listed = post.get_comments(
            fields=["message", "created_time", "from", "parent", "is_hidden", "permalink_url"],
            params={"filter": "stream", "order": "reverse_chronological", "limit": 100},
        )
        assert listed.total() == 120
        found = list(listed)
        times = [comment["created_time"] for comment in found]
        comments += [comment["id"] for comment in found]
        assert times == sorted(times, reverse=True)
        people = post.get_reactions(fields=["id", "name"], params={"limit": 100})
        reactions += [(post["id"], person["id"]) for person in people]

    assert len(comments) == len(set(comments)) == 360
    assert len(reactions) == len(set(reactions)) == 330


def test_a_comment_is_answered_hidden_liked_and_removed(sdk: Sdk) -> None:
    sdk.sandbox.control("bulk", posts=1, commentsPerPost=0)
    sdk.sandbox.control("comments", text="something rude")
    post = sdk.newest_post()
    rude = Comment(next(iter(post.get_comments()))["id"], api=sdk.api)

    reply = rude.create_comment(params={"message": "Please stay polite"})
    rude.api_update(params={"is_hidden": True})
    rude.create_like()
    read = rude.api_get(fields=["is_hidden", "comment_count", "like_count", "user_likes", "can_remove"])
    assert (read["is_hidden"], read["comment_count"], read["like_count"], read["user_likes"]) == (
        True,
        1,
        1,
        True,
    )
    assert [row["id"] for row in rude.get_comments()] == [reply["id"]]
    own = post.create_comment(params={"message": "Thank you all"})
    Comment(own["id"], api=sdk.api).api_update(params={"message": "Thank you"})

    rude.api_delete()
    assert [row["message"] for row in post.get_comments(fields=["message"])] == ["Thank you"]


def test_messages_are_answered_within_the_window(sdk: Sdk) -> None:
    sdk.sandbox.control("messages", text="Do you open on Sunday?", person="Mei Chen")
    person = sdk.sandbox.state("messages")[0]["personId"]
    answer = {
        "recipient": {"id": person},
        "message": {"text": "From ten to four."},
        "messaging_type": Page.MessagingType.response,
    }
    sdk.page.create_message(params=answer)
    (thread,) = sdk.page.get_conversations(
        fields=["snippet", "message_count", "can_reply", "participants"],
        params={"platform": UnifiedThread.Platform.messenger},
    )
    assert (thread["snippet"], thread["message_count"], thread["can_reply"]) == ("From ten to four.", 2, True)
    assert len(UnifiedThread(thread["id"], api=sdk.api).get_messages()) == 2

    assert User(person, api=sdk.api).api_get(fields=[User.Field.name])["name"] == "Mei Chen"

    sdk.sandbox.control("clock", advanceSeconds=86_500)
    with pytest.raises(FacebookRequestError) as late:
        sdk.page.create_message(params=answer)
    assert (late.value.api_error_code(), late.value.api_error_subcode()) == (10, 2018278)
    by_hand = {**answer, "messaging_type": Page.MessagingType.message_tag, "tag": "HUMAN_AGENT"}
    assert sdk.api.call("POST", (PAGE, "messages"), params=by_hand).json()[
        "message_id"
    ]  # the SDK has no word


def test_a_comment_is_answered_privately_once(sdk: Sdk) -> None:
    sdk.sandbox.control("bulk", posts=1, commentsPerPost=1)
    comment = next(iter(sdk.newest_post().get_comments()))["id"]
    answer = {"recipient": {"comment_id": comment}, "message": {"text": "20 euros"}}
    sdk.page.create_message(params=answer)

    with pytest.raises(FacebookRequestError) as again:
        sdk.page.create_message(params=answer)
    assert again.value.api_error_code() == 10900


def test_instagram_comments_are_read_answered_and_hidden(sdk: Sdk) -> None:
    made = sdk.sandbox.control("media", caption="New in")
    sdk.sandbox.control("comments", mediaId=made["id"], text="Lovely")
    media = IGMedia(str(made["id"]), api=sdk.api)
    comment = IGComment(next(iter(media.get_comments()))["id"], api=sdk.api)

    reply = comment.create_reply(params={"message": "Thank you"})
    comment.api_update(params={"hide": True})

    assert comment.api_get(fields=["hidden", "text", "username"])["hidden"] is True
    assert [row["id"] for row in comment.get_replies()] == [reply["id"]]
    assert media.api_get(fields=["comments_count"])["comments_count"] == 2
