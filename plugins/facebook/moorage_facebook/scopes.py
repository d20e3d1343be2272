"""Meta's permissions: which ones exist, and which ones a capability needs.

https://developers.facebook.com/docs/permissions
"""

from collections.abc import Collection, Mapping, Sequence

from moorage_ports.authorizer import ScopePlan
from moorage_ports.capabilities import Capability
from moorage_ports.errors import InvalidRequestError

ALWAYS_GRANTED = "public_profile"
LEADS = "leads_retrieval"
BUSINESSES = "business_management"
SEE_INSTAGRAM = "instagram_basic"
SEE_WHATSAPP = "whatsapp_business_management"

# What an Instagram account, or a WhatsApp number, is of no use without.
# https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login
INSTAGRAM_SCOPES = (SEE_INSTAGRAM, "instagram_manage_comments", "instagram_manage_messages")
# https://developers.facebook.com/docs/whatsapp/business-management-api/get-started
WHATSAPP_SCOPES = (SEE_WHATSAPP, "whatsapp_business_messaging")

KNOWN: frozenset[str] = frozenset(
    {
        ALWAYS_GRANTED,
        "email",
        "pages_show_list",
        "pages_read_engagement",
        "pages_read_user_content",
        "pages_manage_posts",
        "pages_manage_engagement",
        "pages_manage_metadata",
        "pages_manage_ads",
        "pages_manage_cta",
        "pages_manage_instant_articles",
        "pages_messaging",
        "pages_utility_messaging",
        LEADS,
        "read_insights",
        "business_management",
        "ads_management",
        "ads_read",
        "catalog_management",
        "instagram_basic",
        "instagram_content_publish",
        "instagram_manage_comments",
        "instagram_manage_insights",
        "instagram_manage_messages",
        "instagram_manage_events",
        "whatsapp_business_management",
        "whatsapp_business_messaging",
        "whatsapp_business_manage_events",
        "publish_video",
        "manage_fundraisers",
    }
)

# What every use of a Page needs: to find it, and to have its news sent here. `public_profile` comes with
# every login, asked for or not, so it is asked for.
_PAGE = (ALWAYS_GRANTED, "pages_show_list", "pages_read_engagement", "pages_manage_metadata")

NEEDED: Mapping[Capability, tuple[str, ...]] = {
    Capability.PUBLISH_POSTS: (*_PAGE, "pages_manage_posts"),
    Capability.PUBLISH_IMAGES: (*_PAGE, "pages_manage_posts"),
    Capability.PUBLISH_VIDEOS: (*_PAGE, "pages_manage_posts"),
    Capability.SCHEDULE_POSTS: (*_PAGE, "pages_manage_posts"),
    # https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving
    Capability.RECEIVE_LEADS: (*_PAGE, LEADS, "pages_manage_ads", "ads_management"),
    Capability.SYNC_ACTIVITY: (*_PAGE, "pages_read_user_content", *INSTAGRAM_SCOPES),
    # https://developers.facebook.com/docs/instagram-platform/comment-moderation
    Capability.ANSWER_COMMENTS: (
        *_PAGE,
        "pages_read_user_content",
        "pages_manage_engagement",
        *INSTAGRAM_SCOPES,
    ),
    Capability.DIRECT_MESSAGES: (*_PAGE, "pages_messaging", *INSTAGRAM_SCOPES, *WHATSAPP_SCOPES),
    Capability.MANAGE_ADS: (*_PAGE, "pages_manage_ads", "ads_management", "ads_read"),
    Capability.MANAGE_BUSINESSES: (ALWAYS_GRANTED, "business_management"),
}

# What a Page can't do its part without; the rest of a capability's scopes is about ads and businesses.
PAGE_SCOPES: tuple[str, ...] = (*_PAGE[1:], "pages_manage_posts", LEADS)
# What only some organisations want of a Page. Granted for other Pages only, it is missing here all the same.
_WANTED_BY_SOME: tuple[str, ...] = ("pages_read_user_content", "pages_manage_engagement", "pages_messaging")


def page_scopes(granted: Collection[str]) -> tuple[str, ...]:
    """What is missed on a Page, if it is not granted for that Page."""
    return (*PAGE_SCOPES, *(scope for scope in _WANTED_BY_SOME if scope in granted))


def plan_scopes(requested: Sequence[str] | None, capabilities: Collection[Capability]) -> ScopePlan:
    """`requested`, then what `capabilities` need besides; each once, in a stable order.

    Raises:
        InvalidRequestError: Meta has no permission of that name.
    """
    asked = tuple(dict.fromkeys(requested or ()))
    unknown = [name for name in asked if name not in KNOWN]
    if unknown:
        msg = "Facebook has no permission of that name"
        raise InvalidRequestError(msg, fields={"scopes": f"unknown: {', '.join(unknown)[:200]}"})
    needed = (name for capability in Capability if capability in capabilities for name in NEEDED[capability])
    added = tuple(name for name in dict.fromkeys(needed) if name not in asked)
    return ScopePlan(scopes=asked + added, added=added)
