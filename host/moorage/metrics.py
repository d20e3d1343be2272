"""What the host counts about its own work. Labels are vendors and kinds, never orgs or people."""

from datetime import datetime

from prometheus_client import Counter, Gauge

DELIVERIES = Counter("moorage_deliveries", "Webhook requests, by what became of them", ["vendor", "outcome"])
LEADS_STORED = Counter("moorage_leads_stored", "Leads that reached the CRM", ["vendor"])
INBOX_OUTCOMES = Counter(
    "moorage_inbox_outcomes", "Inbox items, by what became of them", ["vendor", "outcome"]
)
HANDOVERS = Counter(
    "moorage_handovers", "Tries to deliver a message to an org's endpoint, by how they ended", ["outcome"]
)
LEADS_RECOVERED = Counter(
    "moorage_leads_recovered", "Leads that no delivery told of before a reconciliation did", ["vendor"]
)
RESUBSCRIBED = Counter(
    "moorage_resubscribed", "Channels whose news had stopped, by what became of them", ["vendor", "outcome"]
)
# What is waiting, over all orgs; asked for whenever somebody reads the metrics.
INBOX_PENDING = Gauge("moorage_inbox_pending", "Inbox items not worked on yet, waiting ones included")
INBOX_OLDEST = Gauge("moorage_inbox_oldest_pending_seconds", "Age of the oldest inbox item not worked on yet")
LEADS_MISSING = Gauge(
    "moorage_leads_missing",
    "Leads that a vendor counts and nobody here ever heard of, although everything was read again",
    ["vendor"],
)
SILENCE = Gauge(
    "moorage_seconds_since_delivery",
    "Time since this process acknowledged a delivery, or since it started",
    ["vendor"],
)
LAST_HEARD: dict[str, datetime] = {}  # by vendor: when this process last acknowledged a delivery

UNMAPPED_EVENTS = Counter("moorage_unmapped_events", "Happenings that no translator knows", ["vendor"])
PUBLICATIONS = Counter(
    "moorage_publications", "Publications, by the status they reached", ["vendor", "status"]
)
MESSAGES_SENT = Counter(
    "moorage_messages_sent",
    "Messages and replies to comments, by how their sending ended",
    ["vendor", "state"],
)
SYNCED = Counter("moorage_synced_items", "Comments and reactions that a sync has read", ["vendor"])
