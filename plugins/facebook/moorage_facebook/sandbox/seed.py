"""What a fresh sandbox holds: one invented person, her business, three Pages and their lead forms."""

import secrets

from moorage_facebook.sandbox.entities import (
    ALL_TASKS,
    App,
    AppSubscription,
    Business,
    Checkbox,
    LeadForm,
    Option,
    Page,
    PhoneNumber,
    Question,
    User,
    WhatsAppAccount,
)
from moorage_facebook.sandbox.scopes import WEBHOOK_FIELDS
from moorage_facebook.sandbox.social import InstagramAccount, InstagramMedia
from moorage_facebook.sandbox.state import World

APP_ID = "1067432189054321"
USER_ID = "10206266332119368"
BUSINESS_ID = "90817263544536271"
WHATSAPP_ACCOUNT_ID = "104892217345098"
PHONE_NUMBER_ID = "277905518032461"
PAGE_ID = "1234567890"
INSTAGRAM_ID = "17841400008460056"


def seed(world: World) -> None:
    """Fill what is missing. The app keeps its random secrets for as long as the state file lives."""
    host = world.plan.host_url.rstrip("/")
    if not len(world.apps):
        world.apps.put(
            App(
                id=APP_ID,
                name="Moorage",
                secret=secrets.token_hex(16),
                verify_token=secrets.token_urlsafe(24),
                deauthorize_url=f"{host}/connect/deauthorize/facebook",
                data_deletion_url=f"{host}/connect/data-deletion/facebook",
            )
        )
    if not len(world.users):
        _people(world)
        _pages(world)
    if not len(world.whatsapp_accounts):
        _whatsapp(world)
    if not len(world.instagram_accounts):
        _instagram(world)
    if not len(world.app_subscriptions):
        for app in world.apps:
            subscribe_app(world, app)
    world.flush()


def subscribe_app(world: World, app: App) -> None:
    """An app's dashboard as it looks once somebody has set it up: every object, every field, one callback."""
    callback = app.callback_url or world.plan.host_url.rstrip("/") + "/connect/webhook/facebook"
    for name, fields in WEBHOOK_FIELDS.items():
        world.app_subscriptions.put(
            AppSubscription(
                id=f"{app.id}:{name}", app_id=app.id, object=name, callback_url=callback, fields=fields
            )
        )


def new_app(
    world: World, *, app_id: str, name: str, secret: str, verify_token: str, callback_url: str
) -> App:
    """Register another app and set its dashboard up; what is empty is invented, or kept if it exists."""
    known = world.apps.get(app_id)
    app = App(
        id=app_id or world.new_id(),
        name=name or (known.name if known else "Another app"),
        secret=secret or (known.secret if known else secrets.token_hex(16)),
        verify_token=verify_token or (known.verify_token if known else secrets.token_urlsafe(24)),
        callback_url=callback_url or (known.callback_url if known else ""),
    )
    world.apps.put(app)
    subscribe_app(world, app)
    return app


def default_questions(world: World) -> tuple[Question, ...]:
    """For a form that somebody made without saying what it asks."""
    return (_name(world.new_id()), _email(world.new_id()), _phone(world.new_id()))


def _people(world: World) -> None:
    world.users.put(
        User(
            id=USER_ID,
            name="Dana Demo",
            first_name="Dana",
            last_name="Demo",
            email="dana.demo@mail.example",
        )
    )
    world.businesses.put(
        Business(id=BUSINESS_ID, name="Demo Group", user_ids=(USER_ID,), created_at=world.seconds())
    )


def _whatsapp(world: World) -> None:
    world.whatsapp_accounts.put(
        WhatsAppAccount(
            id=WHATSAPP_ACCOUNT_ID,
            business_id=BUSINESS_ID,
            name="Harbour Street Shop",
            template_namespace="7f0c2b1a_5d3e_4c89_9a61_0e2d4b6f8a13",
        )
    )
    world.phone_numbers.put(
        PhoneNumber(
            id=PHONE_NUMBER_ID,
            account_id=WHATSAPP_ACCOUNT_ID,
            name="Harbour Street Shop",
            display="+49 30 555 01234",
        )
    )


def _instagram(world: World) -> None:
    """Two of the Pages have an account; the salon has none."""
    for account in (
        InstagramAccount(
            id=INSTAGRAM_ID,
            page_id=PAGE_ID,
            username="harbour.street.shop",
            name="Harbour Street Shop",
            biography="Clothes and household things, a few steps from the quay.",
        ),
        InstagramAccount(
            id="17841405822304914",
            page_id="61558812340917265",
            username="willow.and.fern",
            name="Willow & Fern Gardens",
        ),
    ):
        if account.page_id in world.pages:
            world.instagram_accounts.put(account)
            _pictures(world, account)


def _pictures(world: World, account: InstagramAccount) -> None:
    for number, caption in enumerate(("New in: linen, sand and sea", "Behind the counter")):
        world.instagram_media.put(
            InstagramMedia(
                id=world.new_id(),
                page_id=account.page_id,
                account_id=account.id,
                caption=caption,
                url=f"https://shop.example/instagram/{number + 1}.jpg",
                created_at=world.seconds() - 86_400 * (2 - number),
            )
        )


def _pages(world: World) -> None:
    shop, garden, salon = _shops()
    for page in (shop, garden, salon):
        world.pages.put(page)
    for form in (
        _newsletter(world, shop.id),
        _wholesale(world, shop.id),
        _visit(world, garden.id),
        _appointment(world, salon.id),
    ):
        world.forms.put(form)


def _shops() -> tuple[Page, Page, Page]:
    everyone = {USER_ID: ALL_TASKS}
    return (
        Page(
            id=PAGE_ID,
            name="Harbour Street Shop",
            category="Shopping & retail",
            category_id="200600219953504",
            about="Clothes and household things, a few steps from the quay.",
            business_id=BUSINESS_ID,
            tasks=everyone,
        ),
        Page(
            id="61558812340917265",
            name="Willow & Fern Gardens",
            category="Gardener",
            category_id="2540",
            about="We plan, plant and look after gardens.",
            business_id=BUSINESS_ID,
            tasks=everyone,
        ),
        Page(
            id="104857600012345",
            name="Salon Lumière",
            category="Hair salon",
            category_id="2231",
            about="Coupes, couleurs et un bon café.",
            tasks=everyone,
        ),
    )


def _newsletter(world: World, page_id: str) -> LeadForm:
    return LeadForm(
        id="920180045512345",
        page_id=page_id,
        name="Spring catalogue",
        intro="Leave your address and we send you the spring catalogue.",
        questions=(
            _name("920180045500001"),
            _email("920180045500002"),
            _phone("920180045500003", required=False),
        ),
        created_at=world.seconds(),
    )


def _wholesale(world: World, page_id: str) -> LeadForm:
    return LeadForm(
        id="24810773660987651",
        page_id=page_id,
        name="Wholesale enquiry",
        intro="You run a shop? Tell us what you need.",
        questions=(
            _name("24810773660900001"),
            Question(id="24810773660900002", key="company_name", label="Company name", type="COMPANY_NAME"),
            _email("24810773660900003"),
            Question(
                id="24810773660900004",
                key="how_many_pieces_a_month?",
                label="How many pieces a month?",
                options=(
                    Option(key="up_to_50", value="up_to_50"),
                    Option(key="50_to_500", value="50_to_500"),
                    Option(key="more_than_500", value="more_than_500"),
                ),
            ),
        ),
        checkboxes=(
            Checkbox(
                id="24810773660900005",
                key="new_pieces",
                text="Write to me when there are new pieces.",
                required=False,
            ),
        ),
        created_at=world.seconds(),
    )


def _visit(world: World, page_id: str) -> LeadForm:
    return LeadForm(
        id="735519902244668",
        page_id=page_id,
        name="Free garden visit",
        intro="We come, look around and tell you what your garden could be.",
        questions=(
            _name("735519902200001"),
            _phone("735519902200002"),
            Question(id="735519902200003", key="city", label="Town", type="CITY"),
            Question(
                id="735519902200004",
                key="what_would_you_like_to_change?",
                label="What would you like to change?",
                required=False,
            ),
        ),
        created_at=world.seconds(),
    )


def _appointment(world: World, page_id: str) -> LeadForm:
    return LeadForm(
        id="18400199387756201",
        page_id=page_id,
        name="Premier rendez-vous",
        locale="fr_FR",
        intro="Prenez rendez-vous, on vous rappelle.",
        questions=(
            Question(id="18400199387700001", key="nom_complet", label="Nom complet", type="FULL_NAME"),
            Question(id="18400199387700002", key="e-mail", label="E-mail", type="EMAIL"),
            Question(
                id="18400199387700003",
                key="quel_créneau_préférez-vous_?",
                label="Quel créneau préférez-vous ?",
                options=(
                    Option(key="matin", value="le_matin"),
                    Option(key="apres_midi", value="l’après-midi"),
                ),
            ),
            Question(
                id="18400199387700004",
                key="décrivez_la_coupe_de_vos_rêves",
                label="Décrivez la coupe de vos rêves",
                required=False,
            ),
        ),
        created_at=world.seconds(),
    )


def _name(question_id: str) -> Question:
    return Question(id=question_id, key="full_name", label="Full name", type="FULL_NAME")


def _email(question_id: str) -> Question:
    return Question(id=question_id, key="email", label="Email", type="EMAIL")


def _phone(question_id: str, *, required: bool = True) -> Question:
    return Question(id=question_id, key="phone_number", label="Phone number", type="PHONE", required=required)
