"""What the host counts about its own work. Labels are vendors and kinds, never orgs or people."""

from prometheus_client import Counter

DELIVERIES = Counter("moorage_deliveries", "Webhook requests, by what became of them", ["vendor", "outcome"])
LEADS_STORED = Counter("moorage_leads_stored", "Leads that reached the CRM", ["vendor"])
INBOX_OUTCOMES = Counter(
    "moorage_inbox_outcomes", "Inbox items, by what became of them", ["vendor", "outcome"]
)
UNMAPPED_EVENTS = Counter("moorage_unmapped_events", "Happenings that no translator knows", ["vendor"])
PUBLICATIONS = Counter(
    "moorage_publications", "Publications, by the status they reached", ["vendor", "status"]
)
