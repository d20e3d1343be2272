"""What a vendor can do, and how far we have come with it."""

from enum import Enum


class Capability(Enum):
    """Something an organisation may want a vendor for; scopes are asked for by capability."""

    PUBLISH_POSTS = "publish posts"
    PUBLISH_IMAGES = "publish images"
    PUBLISH_VIDEOS = "publish videos"
    SCHEDULE_POSTS = "schedule posts"  # and drafts: posts that the vendor keeps unseen
    RECEIVE_LEADS = "receive leads"
    SYNC_ACTIVITY = "sync activity"
    ANSWER_COMMENTS = "answer comments"
    DIRECT_MESSAGES = "direct messages"
    MANAGE_ADS = "manage ads"
    MANAGE_BUSINESSES = "manage businesses"


class Support(Enum):
    """How far a vendor goes. `UNKNOWN` is the default, so silence is never a promise."""

    FULL = "full"
    NOT_YET = "not yet"  # the vendor can, we have not written it
    IMPOSSIBLE = "impossible"  # the vendor cannot
    UNKNOWN = "unknown"
