"""Who and what there is in the memory vendor's town when it begins."""

import secrets

from moorage_adapters.memory.things import Board, Form, Person
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp

ADA = Person(id="person-1", name="Ada Reed")
CAFE = Board(id="board-1", name="Harbour Café", keepers=frozenset({ADA.id}))
BOOKS = Board(id="board-2", name="Lighthouse Books", keepers=frozenset({ADA.id}))
TOWN_HALL = Board(id="board-3", name="Town Hall", keepers=frozenset())
NEWSLETTER = Form(
    id="form-1",
    board_id=CAFE.id,
    name="Newsletter",
    asks={"email": "Your e-mail", "full_name": "Your name", "roast": "Light or dark roast?"},
    choices={"roast": ("light roast", "dark roast")},
    pledges={"news": "The café may write to me"},
)


def registered_app(app_id: str = "memory-app") -> VendorApp:
    """An app with fresh secrets."""
    return VendorApp(
        vendor="memory",
        app_id=app_id,
        secrets=(Secret(secrets.token_urlsafe(32)),),
        verify_token=Secret(secrets.token_urlsafe(32)),
    )
