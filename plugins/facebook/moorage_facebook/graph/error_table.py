"""Graph's error codes, one row each: what a failure means for the caller, what it hits, what a person can do.

A row is found by code and subcode, else by code, else by range. Texts are never looked at. A row of a limit
also says which calls have to pause.
https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/overview/rate-limiting
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum

import attrs

from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)


class Parks(Enum):
    """Who has to pause after a limit."""

    NOBODY = "nobody"  # the row is no limit
    APP = "app"  # everything that the app sends
    PERSON = "person"  # calls with this person's token
    OWNER = "owner"  # calls on the same Page, ad account or other owner, for the same use case
    PUBLISHING = "publishing"  # what makes new posts on this channel; reading goes on


@attrs.frozen(kw_only=True)
class Row:
    """What one code means. `on_write` is set where a write may have happened in spite of the error.

    `parks` and `use_case` belong to limits: who pauses, and which of Graph's use cases the limit is of.
    `retry_after` is for how long where Graph says nothing; without it pauses begin at a minute and grow.
    """

    kind: type[VendorError]
    hits: Hits = Hits.CALL
    remedy: str = ""
    on_write: type[VendorError] | None = None
    retry_after: timedelta | None = None
    parks: Parks = Parks.NOBODY
    use_case: str = ""
    disconnects: bool = False  # the integration (or the channel, see `hits`) has to be connected again


def _limit(parks: Parks, use_case: str = "") -> Row:
    hits = Hits.CHANNEL if parks is Parks.OWNER else Hits.INTEGRATION
    return Row(kind=RateLimitError, hits=hits, parks=parks, use_case=use_case)


def _slow_down(wait: timedelta, remedy: str) -> Row:
    """No count of calls, but of what people see: only publishing pauses."""
    return Row(
        kind=RateLimitError, hits=Hits.CHANNEL, retry_after=wait, remedy=remedy, parks=Parks.PUBLISHING
    )


def _gone(remedy: str, hits: Hits = Hits.INTEGRATION) -> Row:
    return Row(kind=ReauthorizationError, hits=hits, remedy=remedy, disconnects=True)


def _refused(remedy: str) -> Row:
    return Row(kind=RejectedError, remedy=remedy)


def _owners(remedy: str) -> Row:
    """Something that only the channel's owner can settle, at Meta's."""
    return Row(kind=RejectedError, hits=Hits.CHANNEL, remedy=remedy)


def _later(remedy: str = "", *, may_have_happened: bool = True) -> Row:
    return Row(
        kind=VendorUnavailableError,
        remedy=remedy,
        on_write=OutcomeUnknownError if may_have_happened else None,
    )


_CONNECT_AGAIN = "Connect Facebook again; channels, mappings and schedules are kept."
_LOG_IN = "Log in at facebook.com and follow what it asks there, then connect Facebook again."
_ALLOW = (
    "Connect again and allow the missing permission; "
    "if it was allowed, the app lacks App Review for it or the person's role is too small."
)
_NEW_MEDIA = "Send the post again: the media has to be prepared anew."
_FIX_MEDIA = "Change the picture or video to what Instagram accepts, then send the post again."
_BUDGET = "Raise the budget above the smallest one that the ad account's currency allows."
_GRAPH_BUSY = "Facebook has trouble itself; it is tried again by itself where that is safe."
_OUR_BUG = "This is a mistake in how the call was made: report it with the trace id."

BY_SUBCODE: Mapping[tuple[int, int], Row] = {
    (1, 2207057): _refused("Choose a preview moment that lies within the video."),
    (4, 1504022): _limit(Parks.APP),
    (4, 1504039): _limit(Parks.APP),
    (4, 2207051): Row(
        kind=RejectedError,
        hits=Hits.CHANNEL,
        remedy="Stop posting on this account for a day and look in the Instagram app for a warning.",
        on_write=OutcomeUnknownError,
    ),
    (9, 2207042): _slow_down(
        timedelta(hours=24), "The account's posts for today are used up: publish tomorrow."
    ),
    (10, 2018065): _refused("The reply window is closed: wait until the person writes again."),
    (10, 2018278): _refused("The reply window is closed: wait until the person writes again."),
    (17, 2446079): _limit(Parks.OWNER),
    (24, 2207006): _refused(_NEW_MEDIA),
    (24, 2207008): _later(_NEW_MEDIA, may_have_happened=False),
    (25, 2207050): Row(
        kind=RejectedError,
        hits=Hits.CHANNEL,
        remedy="Open the Instagram app with this account and settle what it asks there.",
    ),
    (100, 33): Row(
        kind=VendorNotFoundError,
        remedy="Check that it still exists and that the person who connected may see it.",
    ),
    (100, 2018001): _refused("This person can't be written to any more."),
    (100, 2018218): Row(kind=VendorNotFoundError, remedy="This person has no profile that could be read."),
    (100, 2018247): Row(kind=VendorNotFoundError, remedy="This person lets nobody read their profile."),
    (100, 2534014): Row(kind=VendorNotFoundError, remedy="Instagram knows nobody under this id."),
    (100, 2108006): _refused("This media is older than the business account and can't be read."),
    (100, 1487694): _refused("Choose the audience again: one of its categories was retired."),
    (100, 2207023): _refused(_FIX_MEDIA),
    (100, 2207028): _refused("A carousel takes two to ten items."),
    (100, 2207035): _refused("A video takes no positions for product tags."),
    (100, 2207036): _refused("A picture needs a position for each product tag."),
    (100, 2207037): _refused("Tag only products that the account may use."),
    (100, 2207040): _refused("Use at most twenty tags."),
    (190, 458): _gone("The app was removed from the Facebook account: connect again."),
    (190, 459): _gone(_LOG_IN),
    (190, 460): _gone("The password was changed, or Facebook ended the session: connect again."),
    (190, 463): _gone("The connection ran out: connect again."),
    (190, 464): _gone(_LOG_IN),
    (190, 467): _gone(_CONNECT_AGAIN),
    (190, 492): _gone(
        "The person who connected has no role on this Page any more: "
        "have a Page admin restore it, then connect again.",
        Hits.CHANNEL,
    ),
    (352, 2207026): _refused("Use an MP4 or MOV video."),
    (613, 1996): _limit(Parks.OWNER),
    (613, 1487742): _limit(Parks.OWNER),
    (613, 5044001): _limit(Parks.OWNER),
    (613, 1487632): _limit(Parks.OWNER),
    (613, 1487225): _limit(Parks.OWNER),
    (1200, 2018024): _later(),
    (9004, 2207052): _refused("Put the media where anyone can fetch it without a login, then try again."),
    (9007, 2207027): _later("The media is not ready yet: it is tried again.", may_have_happened=False),
    (-1, 2207001): _later(_GRAPH_BUSY),
    (-1, 2207032): _later(_NEW_MEDIA, may_have_happened=False),
    (-1, 2207053): _later(_NEW_MEDIA, may_have_happened=False),
    (-2, 2207003): _later("Use a smaller file or a faster server for the media.", may_have_happened=False),
    (-2, 2207020): _later(_NEW_MEDIA, may_have_happened=False),
    (36000, 2207004): _refused("Use a picture of at most 8 MiB."),
    (36001, 2207005): _refused("Use a JPEG picture."),
    (36003, 2207009): _refused("Use a picture between 4:5 and 1.91:1."),
    (36004, 2207010): _refused("Shorten the caption: at most 2,200 characters, 30 hashtags, 20 mentions."),
    (80000, 2446079): _limit(Parks.OWNER, "ads_insights"),
    (80003, 2446079): _limit(Parks.OWNER, "custom_audience"),
    (80004, 2446079): _limit(Parks.OWNER, "ads_management"),
}

# Subcodes that mean the same below whatever code they come with.
BY_SUBCODE_ALONE: Mapping[int, Row] = {
    1363047: _later(),
    1366046: _refused("Use a picture of at most 4 MB."),
    1366051: _refused("This picture is on the Page already: use another one."),
    1346003: _refused("Facebook takes this content for abusive: change it."),
    1390008: _slow_down(timedelta(hours=1), "Post more slowly on this Page."),
    1404078: _refused("Finish Page Publishing Authorization at facebook.com as the person who connected."),
    1404102: _refused("Facebook says that this breaks its Community Standards: change it."),
    1487033: _refused("Choose an end that lies in the future."),
    1609008: _refused("Facebook takes no link to facebook.com here: use another one."),
    1609010: _later(),
    1885272: _refused(_BUDGET),
    1885621: _refused("Set the budget on the campaign or on the ad set, not on both."),
    2207077: _refused("Put the video where anyone can fetch it without a login, then try again."),
    2207081: _refused("This account can't publish trial reels: publish an ordinary one."),
    2207082: _later(_NEW_MEDIA, may_have_happened=False),
    2446307: _refused(_BUDGET),
}

_WHATSAPP_OWNER = "Look in WhatsApp Manager: the business account or its number needs attention there."

# https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
_OF_WHATSAPP: Mapping[int, Row] = {
    130429: _limit(Parks.OWNER, "whatsapp"),
    130472: _refused("WhatsApp withholds this message from this person as part of an experiment."),
    130497: _refused("This business account may not write to people in that country."),
    131000: _later(),
    131005: Row(kind=MissingScopeError, remedy=_ALLOW),
    131008: _refused(_OUR_BUG),
    131009: _refused("Correct what WhatsApp objects to, then send it again."),
    131016: _later(_GRAPH_BUSY),
    131021: _refused("A number can't write to itself."),
    131026: _refused("This number can't be reached: it may not be on WhatsApp, or not take this message."),
    131031: _owners(_WHATSAPP_OWNER),
    131037: _owners("Have the number's display name approved in WhatsApp Manager."),
    131042: _owners("Settle how WhatsApp messages are paid for in WhatsApp Manager."),
    131045: _owners("Register the phone number with WhatsApp, then send it again."),
    131047: _refused("The reply window is closed: wait until the person writes again."),
    131048: _slow_down(timedelta(hours=6), _WHATSAPP_OWNER),
    131049: _refused("WhatsApp withholds this message for now: do not send it again soon."),
    131050: _refused("This person wants no marketing messages: do not send any."),
    131051: _refused("WhatsApp does not take this kind of message."),
    131052: _refused("WhatsApp could not read what the person sent."),
    131053: _refused(
        "Put the file where anyone can fetch it without a login, in a type that WhatsApp takes."
    ),
    131056: Row(
        kind=RateLimitError,
        retry_after=timedelta(seconds=6),
        remedy="Too much to this person at once: wait a moment.",
        parks=Parks.OWNER,  # nothing finer is metered, and it is seconds
        use_case="whatsapp",
    ),
    131057: _later("The business account is being maintained: it works again soon.", may_have_happened=False),
    131062: _refused("This message needs the person's phone number; WhatsApp hides it."),
    133004: _later(_GRAPH_BUSY),
    133010: _owners("Register the phone number with WhatsApp, then send it again."),
    135000: _refused("Correct what WhatsApp objects to, then send it again."),
}

BY_CODE: Mapping[int, Row] = {
    **_OF_WHATSAPP,
    -2: _later(may_have_happened=False),
    -1: _later(_GRAPH_BUSY),
    1: _later(_GRAPH_BUSY),
    2: _later(_GRAPH_BUSY),
    3: Row(kind=MissingScopeError, remedy="The app lacks a capability: add it in Meta's App Dashboard."),
    4: _limit(Parks.APP),
    10: Row(kind=MissingScopeError, remedy=_ALLOW),
    17: _limit(Parks.PERSON),
    32: _limit(Parks.OWNER),
    33: Row(kind=VendorNotFoundError, hits=Hits.CHANNEL, remedy="This phone number was deleted at WhatsApp."),
    100: _refused("Correct what Facebook objects to, then send it again."),
    102: _gone(_CONNECT_AGAIN),
    104: Row(kind=VendorError, remedy="Check that the app secret configured here is the app's current one."),
    190: _gone(_CONNECT_AGAIN),
    341: _limit(Parks.APP),
    368: _slow_down(
        timedelta(hours=6),
        "Facebook blocked this for a while: look in the Page's quality tab before posting again.",
    ),
    506: _refused("The same text is on the Page already: look there, or change the text."),
    551: Row(kind=VendorUnavailableError, remedy="This person can't be reached just now."),
    613: _limit(Parks.OWNER),
    803: Row(kind=VendorNotFoundError, remedy="Check the id: Facebook knows nothing under it."),
    1200: _later(),
    2500: Row(kind=VendorError, remedy=_OUR_BUG),
    2635: Row(
        kind=VendorError,
        remedy="Meta retired this version of the Marketing API: set a newer MOORAGE_FACEBOOK_API_VERSION.",
    ),
    3018: _refused("Choose a start that lies within the last 37 months."),
    9010: Row(kind=VendorNotFoundError, remedy="Instagram knows nobody under this id."),
    10900: _refused("This comment was answered in private before: that works once."),
    10903: _refused("This can't be answered in private."),
    10904: _refused("The Page takes no messages: switch them on in its settings."),
    1609005: _refused("Facebook could not read what the link leads to: check that it opens without a login."),
    80000: _limit(Parks.OWNER, "ads_insights"),
    80001: _limit(Parks.OWNER, "pages"),
    80002: _limit(Parks.OWNER, "instagram"),
    80003: _limit(Parks.OWNER, "custom_audience"),
    80004: _limit(Parks.OWNER, "ads_management"),
    80005: _limit(Parks.OWNER, "leadgen"),
    80006: _limit(Parks.OWNER, "messenger"),
    80007: _limit(Parks.OWNER, "whatsapp"),
    80008: _limit(Parks.OWNER, "whatsapp_business_management"),
    80009: _limit(Parks.OWNER, "catalog_management"),
    80014: _limit(Parks.OWNER, "catalog_batch"),
}

RANGES: Iterable[tuple[range, Row]] = (
    (range(200, 300), Row(kind=MissingScopeError, remedy=_ALLOW)),
    # Not in Meta's table, but the numbers between two limits are most likely limits.
    (range(80010, 80014), _limit(Parks.OWNER)),
)


def find_row(code: int | None, subcode: int | None) -> Row | None:
    """The row of an error; the subcode decides where it says more than the code."""
    if code is not None and subcode is not None and (code, subcode) in BY_SUBCODE:
        return BY_SUBCODE[code, subcode]
    if subcode is not None and subcode in BY_SUBCODE_ALONE:
        return BY_SUBCODE_ALONE[subcode]
    if code is None:
        return None
    if code in BY_CODE:
        return BY_CODE[code]
    return next((row for codes, row in RANGES if code in codes), None)
