"""The permissions the dialog knows, and the webhook fields of each object.

https://developers.facebook.com/docs/permissions · https://developers.facebook.com/docs/graph-api/webhooks/reference
"""

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "public_profile": "Receive your name and profile picture",
    "email": "Receive your e-mail address",
    "pages_show_list": "Show a list of the Pages you manage",
    "pages_read_engagement": "Read content posted on the Page",
    "pages_read_user_content": "Read user content on your Page",
    "pages_manage_posts": "Create and manage content on your Page",
    "pages_manage_engagement": "Create and manage comments on your Page",
    "pages_manage_metadata": "Manage accounts, settings, and webhooks for a Page",
    "pages_manage_ads": "Manage ads for Pages that you have access to",
    "pages_messaging": "Manage and access Page conversations in Messenger",
    "leads_retrieval": "Access leads for your Pages",
    "read_insights": "Access your Page and app insights",
    "business_management": "Manage your business",
    "ads_management": "Manage ads for ad accounts that you have access to",
    "ads_read": "Access your Facebook ads and related stats",
    "catalog_management": "Manage your product catalogs",
    "instagram_basic": "Access profile and posts from the Instagram account connected to your Page",
    "instagram_content_publish": "Upload media and create posts for the connected Instagram account",
    "instagram_manage_comments": "Manage comments for the connected Instagram account",
    "instagram_manage_insights": "Access insights for the connected Instagram account",
    "instagram_manage_messages": "Manage and access messages for the connected Instagram account",
    "whatsapp_business_management": "Manage your WhatsApp accounts",
    "whatsapp_business_messaging": "Send and manage messages with your WhatsApp account",
}

ALWAYS_GRANTED = "public_profile"

PAGE_FIELDS = (
    "feed",
    "leadgen",
    "leadgen_update",
    "mention",
    "messages",
    "message_echoes",
    "message_reads",
    "message_deliveries",
    "message_reactions",
    "message_edits",
    "messaging_postbacks",
    "messaging_optins",
    "messaging_optouts",
    "messaging_referrals",
    "messaging_handovers",
    "messaging_account_linking",
    "messaging_policy_enforcement",
    "standby",
    "ratings",
    "live_videos",
    "videos",
    "name",
    "picture",
    "category",
    "description",
    "conversations",
    "publisher_subscriptions",
)

WEBHOOK_FIELDS: Mapping[str, tuple[str, ...]] = {
    "page": PAGE_FIELDS,
    "instagram": (
        "comments",
        "live_comments",
        "mentions",
        "messages",
        "message_edit",
        "message_reactions",
        "messaging_handover",
        "messaging_postbacks",
        "messaging_referral",
        "messaging_seen",
        "standby",
        "story_insights",
    ),
    "whatsapp_business_account": (
        "messages",
        "calls",
        "smb_message_echoes",
        "smb_app_state_sync",
        "history",
        "user_preferences",
        "user_id_update",
        "group_lifecycle_update",
        "group_participants_update",
        "message_template_status_update",
        "message_template_quality_update",
        "message_template_components_update",
        "template_category_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "account_update",
        "account_alerts",
        "account_review_update",
    ),
    "ad_account": (
        "with_issues_ad_objects",
        "in_process_ad_objects",
        "ad_recommendations",
        "creative_fatigue",
        "product_set_issue",
        "effective_status",
    ),
    "permissions": tuple(PERMISSIONS),
    "user": ("name", "email", "picture"),
}

FIELD_NEEDS: Mapping[str, str] = {
    "leadgen": "leads_retrieval",
    "leadgen_update": "leads_retrieval",
    **{name: "pages_messaging" for name in PAGE_FIELDS if name.startswith(("message", "messaging"))},
}
"""The permission without which Graph refuses to subscribe a Page to a field."""
