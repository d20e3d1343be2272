"""Every table is accounted for: what becomes of its rows when a person is forgotten, and why."""

from typing import Final

from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.offboarding import tables_of_orgs

# What forgetting a person does with each table. A new one needs a line here, and what it says has to be true:
# `test_erasing.py` plants words in all that hold what people say.
GOES: Final = {
    "activity": "what they did, and what their comments are as activity",
    "contact": "them, and whoever was joined to them",
    "contact_identity": "everything that they are known by",
    "conversation": "those with them; of a thread that they began, that they did",
    "inbox": "bodies that tell of them; the keyed hash stays, so that a double is one",
    "lead": "theirs, with the answers that are sealed in it",
    "lead_entry": "its ids become a keyed hash; times and codes stay",
    "message": "theirs, those with them, and what was answered below theirs; reactions of theirs on others'",
    "outgoing_handover": "what is on its way about their leads",
    "outgoing_message": "what was to be told about their leads",
    "post": "those that they wrote",
    "quarantine": "bodies that name them, whosever they are",
    "remembered_call": "answers that tell of them are replaced",
    "search_entry": "their words and names",
}
STAYS: Final = {
    "account": "members of the org, who sign in",
    "call_count": "numbers",
    "channel": "the org's own",
    "connect_attempt": "a member of the org, for a day",
    "deletion_request": "whom it was about is gone once it is done",
    "erased_mark": "keyed hashes of what was erased: what keeps it from coming back",
    "erasure": "that something was erased, and how many",
    "grant_record": "of who connected, by a keyed hash: goes when they leave or ask their vendor",
    "inbox_double": "how often a keyed hash came again",
    "integration": "the org's own",
    "job": "names of groups: ids of ours",
    "job_pause": "names",
    "job_schedule": "names",
    "job_timer": "names of groups: ids of ours",
    "lead_checkpoint": "of forms",
    "notice": "what a vendor tells the owner of a channel",
    "org_key": "keys",
    "outgoing_endpoint": "the org's own",
    "own_app": "the org's own",
    "publication": "the org's own",
    "retention": "the org's wishes",
    "secret": "of who connected: goes when they leave or ask their vendor",
    "session": "members of the org",
    "sync_state": "of channels",
    "unmapped_kind": "kinds, with a keyed hash of one that came",
    "usage_meter": "numbers",
}
# Forms and orders about them: no person's.
OF_FORMS: Final = {"lead_backfill", "form_check", "lead_test", "lead_form", "lead_mapping", "lead_remap"}


def test_every_table_says_what_becomes_of_it() -> None:
    known = GOES.keys() | STAYS.keys() | OF_FORMS
    assert not GOES.keys() & STAYS.keys()
    assert set(metadata.tables) <= known, "say above what forgetting a person means for it"
    assert GOES.keys() | STAYS.keys() <= set(metadata.tables), "one is no table any more"


def test_whatever_belongs_to_an_org_goes_with_it() -> None:
    """No list to keep: a table with an `org_id` is among them."""
    of_orgs = {name for name, table in metadata.tables.items() if "org_id" in table.c}
    assert {table.name for table in tables_of_orgs()} == of_orgs - {"org_key"}
    without = set(metadata.tables) - of_orgs
    assert without == {"deletion_request", "job_pause", "job_schedule", "quarantine", "usage_meter"}
