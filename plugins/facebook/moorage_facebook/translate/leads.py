"""`leadgen`: a notification without answers.

https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving
"""

from moorage_facebook.graph.values import node_id
from moorage_facebook.translate.happening import Events, Happening, notice
from moorage_ports.events import LeadArrived


def lead_arrived(happening: Happening) -> Events:
    """A form was submitted. Organic and test leads have no ad."""
    value = happening.value
    # These ids end up in paths of calls, so only plain ones will do.
    lead_id = node_id(value.get("leadgen_id"))
    page_id = node_id(happening.entry.get("id")) or node_id(value.get("page_id"))
    if not lead_id or not page_id:
        return None
    return (
        LeadArrived(
            lead_external_id=lead_id,
            channel_external_id=page_id,
            form_external_id=node_id(value.get("form_id")),
            ad_external_id=node_id(value.get("ad_id")),
            occurred_at=happening.at,
        ),
    )


def lead_changed(happening: Happening) -> Events:
    """Somebody worked on a lead in Meta's own lead centre."""
    return (notice(happening, happening.field),)
