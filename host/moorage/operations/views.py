"""What an org sees of its records: never a secret, never the person who connected."""

from collections.abc import Iterable

from moorage_ports.integrations import Channel, Integration
from moorage_ports.operations import ChannelView, IntegrationView, PublicationView
from moorage_ports.publications import Publication


def channel_view(channel: Channel) -> ChannelView:
    """A channel's row."""
    return ChannelView(
        id=channel.id,
        external_id=channel.external_id,
        vendor=channel.vendor,
        type=channel.type,
        name=channel.name,
        selected=channel.selected,
        selectable=channel.selectable,
        subscribed=channel.subscribed,
        reason=channel.reason or None,
        missing_scopes=channel.missing_scopes,
    )


def integration_view(
    integration: Integration,
    channels: Iterable[Channel],
    *,
    gained: tuple[str, ...] = (),
    lost: tuple[str, ...] = (),
) -> IntegrationView:
    """An integration with its channels; `gained` and `lost` are what a re-connection changed."""
    return IntegrationView(
        id=integration.id,
        vendor=integration.vendor,
        status=integration.status.value,
        channels=tuple(channel_view(channel) for channel in channels),
        granted_scopes=integration.granted_scopes,
        missing_scopes=integration.missing_scopes,
        expires_at=integration.expires_at,
        data_access_expires_at=integration.data_access_expires_at,
        gained=gained,
        lost=lost,
    )


def publication_view(publication: Publication) -> PublicationView:
    """A publication as far as it has come."""
    return PublicationView(
        id=publication.id,
        status=publication.status,
        external_id=publication.external_id,
        permalink=publication.permalink,
        notes=publication.notes,
        steps=publication.steps,
    )
