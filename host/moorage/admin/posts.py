"""Posts: write one, see what became of each."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Final

import attrs
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, Form
from moorage.admin.pages import Answer
from moorage.admin.standing import VendorStanding, all_standings, channel_names
from moorage.admin.words import Badge, Trouble
from moorage.auth import SESSION
from moorage.errors import status_of
from moorage.ids import new_id
from moorage.vendors import Vendors
from moorage_ports.errors import InvalidRequestError, MoorageError, NotFoundError
from moorage_ports.integrations import Channel
from moorage_ports.operations import PUBLISH, PublicationStatus, Step
from moorage_ports.plugin import Vendor
from moorage_ports.publications import Publication
from moorage_ports.publisher import PublishPost
from moorage_ports.storage import UnitOfWork

LATEST: Final = 50
_EXCERPT: Final = 120
_ONCE: Final = "admin-publish"  # under which a form's key is remembered

# Which input of the form a complaint belongs to, whoever makes it.
_INPUTS: Final[Mapping[str, str]] = {
    "channel_external_id": "channel",
    "text": "text",
    "message": "text",
    "link": "link",
    "image": "images",
    "images": "images",
}


@attrs.frozen(kw_only=True)
class PostRow:
    """A publication as a list shows it."""

    id: str
    vendor: str
    vendor_title: str
    channel: str
    excerpt: str
    text: str
    link: str
    images: tuple[str, ...]
    status: PublicationStatus
    badge: Badge
    permalink: str
    external_id: str
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    created_at: datetime
    updated_at: datetime
    trouble: Trouble | None


@attrs.frozen(kw_only=True)
class Draft:
    """What stands in the form: also after a mistake, so that nothing has to be typed twice."""

    key: str
    channel: str = ""
    text: str = ""
    link: str = ""
    images: str = ""


@get("/posts", opt=SESSION)
async def posts_page(visit: VisitHere, again: Annotated[str, QueryParameter(required=False)] = "") -> Answer:
    """The form, and the latest publications. `again` is a publication to take the form's text from."""
    draft = Draft(key=new_id())
    if again:
        async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
            draft = await _written_before(uow, again, draft)
    return await _page(visit, draft)


async def _written_before(uow: UnitOfWork, publication_id: str, draft: Draft) -> Draft:
    earlier = await uow.publications.get(publication_id)
    if earlier is None:
        return draft
    post = earlier.post
    channel = await uow.integrations.channel(earlier.vendor, post.channel_external_id)
    return attrs.evolve(
        draft,
        channel=channel.id if channel else "",
        text=post.text,
        link=post.link or "",
        images="\n".join(post.images),
    )


@post("/posts", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def write_post(visit: VisitHere, form: FormHere) -> Answer:
    """Publish what was written; the same form sent twice publishes once."""
    draft = _draft(form)
    try:
        vendor, publish = await _request(visit, draft)
        publication_id = await visit.ask_once(_ONCE, draft.key, vendor, PUBLISH, publish)
    except MoorageError as error:
        draft = attrs.evolve(draft, key=new_id())
        return await _page(visit, draft, failure=_trouble(error), status=status_of(error))
    return visit.redirect(f"/admin/posts/{publication_id}")


@get("/posts/{publication_id:str}", opt=SESSION)
async def post_page(visit: VisitHere, publication_id: FromPath[str]) -> Answer:
    """One publication: what happened step by step, and what to do if it failed."""
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        publication = await uow.publications.get(publication_id)
        standings = await all_standings(uow, visit.services.vendors)
    if publication is None:
        msg = "this organisation has no such post"
        raise NotFoundError(msg)
    (row,) = post_rows([publication], channel_names(standings), visit.services.vendors)
    return visit.page("post.html", {"title": "Post", "row": row})


def _draft(form: Form) -> Draft:
    return Draft(
        key=form.text("key") or new_id(),
        channel=form.text("channel"),
        text=form.text("text"),
        link=form.text("link"),
        images=form.text("images"),
    )


async def _request(visit: Visit, draft: Draft) -> tuple[Vendor, PublishPost]:
    """The draft as the operation wants it.

    Raises:
        InvalidRequestError: Something in it does not fit; `fields` are the form's own inputs.
    """
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
    for standing in standings:
        for channel in standing.writable:
            if channel.id == draft.channel:
                return standing.vendor, _publish_post(channel, draft)
    msg = "no channel was chosen"
    raise InvalidRequestError(msg, fields={"channel": "Choose a channel."})


def _publish_post(channel: Channel, draft: Draft) -> PublishPost:
    try:
        return PublishPost(
            channel_external_id=channel.external_id,
            text=draft.text,
            link=draft.link or None,
            images=tuple(line.strip() for line in draft.images.splitlines() if line.strip()),
        )
    except ValueError as misfit:
        name = next((name for name in ("link", "images") if _is_about(misfit, name)), "text")
        complaint = {
            "link": "This must be a whole web address, such as https://shop.example/spring.",
            "images": "Each line must be a whole web address of an image; ten at most.",
            "text": "Write a text, or add a link or an image; 63,206 characters at most.",
        }[name]
        msg = "this does not make a post yet"
        raise InvalidRequestError(msg, fields={name: complaint}) from None


def _is_about(misfit: ValueError, name: str) -> bool:
    """Whether a value's own validator complains about that field: they name it first, or in quotes."""
    return str(misfit).startswith(name) or f"'{name}'" in str(misfit)


def _trouble(error: MoorageError) -> Trouble:
    """The error in words, its fields named as the form names them."""
    told = words.trouble(error)
    fields = {_INPUTS.get(name.partition(".")[0], name): text for name, text in told.fields.items()}
    return attrs.evolve(told, fields=fields)


async def _page(visit: Visit, draft: Draft, *, failure: Trouble | None = None, status: int = 200) -> Answer:
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
        publications = await uow.publications.latest(limit=LATEST)
    writable = [standing for standing in standings if standing.writable]
    rows = post_rows(publications, channel_names(standings), visit.services.vendors)
    context = {
        "title": "Posts",
        "draft": draft,
        "writable": writable,
        "hint": "" if writable else _hint(standings),
        "only": sum(len(standing.writable) for standing in writable) == 1,
        "standings": standings,
        "expired": [standing for standing in standings if standing.is_expired],
        "rows": rows,
        "failure": failure,
        "fields": failure.fields if failure else {},
    }
    return visit.page("posts.html", context, status=status)


def _hint(standings: tuple[VendorStanding, ...]) -> str:
    """Why nothing can be posted: the one thing that is missing."""
    if any(standing.is_expired for standing in standings):
        return "expired"
    return "channels" if any(standing.is_live for standing in standings) else "connect"


def post_rows(
    publications: Iterable[Publication], names: Mapping[tuple[str, str], str], vendors: Vendors
) -> tuple[PostRow, ...]:
    """Publications in words."""
    return tuple(_row(publication, names, vendors) for publication in publications)


def _row(publication: Publication, names: Mapping[tuple[str, str], str], vendors: Vendors) -> PostRow:
    post, card = publication.post, vendors.by_slug.get(publication.vendor)
    flat = " ".join(post.text.split())
    excerpt = flat[:_EXCERPT].rstrip() + ("…" if len(flat) > _EXCERPT else "")
    is_bad = publication.status is PublicationStatus.FAILED
    return PostRow(
        id=publication.id,
        vendor=publication.vendor,
        vendor_title=card.title if card else publication.vendor,
        channel=names.get((publication.vendor, post.channel_external_id), "a channel that is gone"),
        excerpt=excerpt or post.link or words.count(len(post.images), "image"),
        text=post.text,
        link=post.link or "",
        images=post.images,
        status=publication.status,
        badge=words.PUBLICATIONS[publication.status],
        permalink=publication.permalink or "",
        external_id=publication.external_id or "",
        notes=publication.notes,
        steps=publication.steps,
        created_at=publication.created_at,
        updated_at=publication.updated_at,
        trouble=words.trouble_from_code(publication.error_code, "The post was not published")
        if is_bad
        else None,
    )
