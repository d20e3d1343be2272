"""The certificate that Meta's webhooks come with.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started#mtls-for-webhooks
"""

from moorage_facebook.plugin import moorage_vendor


def test_metas_certificates_bear_one_name_w18() -> None:
    """Compared for equality by the host: no pattern, no suffix."""
    assert moorage_vendor().webhook_client_name == "client.webhooks.fbclientcerts.com"
