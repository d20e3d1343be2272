"""What an operator sets for Facebook: the app, and where Graph and its dialog are."""

from typing import Any

import attrs
from attrs.validators import matches_re

from moorage_ports.apps import AppCredentials
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret
from moorage_ports.values import is_web_url
from moorage_ports.webhooks import VendorApp

VENDOR = "facebook"
GRAPH_API_VERSION = "v26.0"  # https://developers.facebook.com/docs/graph-api/changelog/versions

_NONE = Secret("")


def _no_slash_at_the_end(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    if value.endswith("/"):
        msg = f"{attribute.name} must not end in a slash"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class GraphSettings:
    """The app that the operator registered with Meta. Without an id and a secret there is none.

    While a secret is being changed, the old one goes to `previous_app_secret`: deliveries signed with
    either are accepted, calls are proven with the new one.
    """

    app_id: str = attrs.field(default="", validator=matches_re(r"[0-9]{0,32}"))
    app_secret: Secret = _NONE
    previous_app_secret: Secret | None = None
    verify_token: Secret = _NONE
    graph_url: str = attrs.field(
        default="https://graph.facebook.com", validator=[is_web_url, _no_slash_at_the_end]
    )
    dialog_url: str = attrs.field(
        default="https://www.facebook.com", validator=[is_web_url, _no_slash_at_the_end]
    )
    api_version: str = attrs.field(default=GRAPH_API_VERSION, validator=matches_re(r"v[0-9]{1,3}\.[0-9]"))

    def app(self) -> VendorApp | None:
        """The operator's app, if the settings name one whole."""
        if not (self.app_id and self.app_secret):
            return None
        secrets = [secret for secret in (self.app_secret, self.previous_app_secret) if secret]
        return VendorApp(
            vendor=VENDOR, app_id=self.app_id, secrets=tuple(secrets), verify_token=self.verify_token
        )


@attrs.frozen(kw_only=True)
class MetaApp(AppCredentials):
    """An app that an org registered with Meta itself, as its dashboard shows it."""

    app_id: str = attrs.field(validator=matches_re(r"[0-9]{5,32}"))


def settings_of(context: VendorContext) -> GraphSettings:
    """The settings in `context`, which are this plugin's own.

    Raises:
        TypeError: They are another vendor's.
    """
    if not isinstance(context.settings, GraphSettings):
        msg = "this context was made for another vendor"
        raise TypeError(msg)
    return context.settings
