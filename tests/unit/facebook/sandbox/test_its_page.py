"""The page about the sandbox names what there is, and nothing else."""

import re
from pathlib import Path

from moorage_facebook.sandbox.bodies import CommentsBody, MessagesBody, ReactionsBody
from moorage_facebook.sandbox.control import control_router
from moorage_facebook.sandbox.paging import MOST_EXPANDED
from moorage_facebook.sandbox.tables import ROUTES

TEXT = (Path(__file__).parents[4] / "docs" / "reference" / "sandbox.md").read_text(encoding="utf-8")
ELSEWHERE = {"accounts", "businesses", "permissions", "subscriptions"}  # of people and apps: how one connects
BUSINESSES = {
    *("owned_pages", "owned_ad_accounts", "client_ad_accounts"),
    *("owned_whatsapp_business_accounts", "client_whatsapp_business_accounts"),
}
DETAILS = {"attachments", "phone_numbers", "test_leads", "leads"}


def test_every_control_route_is_named() -> None:
    there = {path.strip("/") for route in control_router().routes for path in [route.path.rpartition("/")[2]]}
    told = TEXT.partition("## Driving it")[2].partition("Whoever acts")[0]
    row_heads = " ".join(line.split("|")[1] for line in told.splitlines() if line.startswith("| `"))

    assert set(re.findall(r"/(?:_sandbox/)?([a-z-]+)", row_heads)) - {"_sandbox"} == there


def test_every_edge_is_named() -> None:
    edges = {route.edge for route in ROUTES if route.edge} - ELSEWHERE - BUSINESSES - DETAILS

    assert {edge for edge in edges if not re.search(rf"[`/]{edge}`", TEXT)} == set()


def test_every_act_and_the_cap_are_named() -> None:
    for body in (CommentsBody, ReactionsBody, MessagesBody):
        for action in body.__annotations__["action"].__args__:
            assert f"`{action}`" in TEXT
    assert f"{MOST_EXPANDED:,}" in TEXT
