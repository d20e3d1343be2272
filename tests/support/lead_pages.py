"""The pages of lead forms as their tests walk through them: one form, its editor, its gaps."""

from datetime import timedelta
from typing import Any

import attrs
import httpx

from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.form_checks import FormCheck
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, Harbour
from tests.support.visitor import Browser, Page

FORMS = "/admin/leads/forms"
FORM = f"{FORMS}/memory/{NEWSLETTER.id}"
EDITOR = f"{FORM}/mapping"
LOOK = {"x-moorage-live": "1"}


async def hand_in(host: Harbour, **answers: str) -> None:
    filled = {"email": "ada@Harbour.example", "full_name": "Ada Reed", "roast": "dark roast", **answers}
    host.world.fill_in(NEWSLETTER.id, {key: (value,) for key, value in filled.items()})
    await host.deliver_all()
    await host.work()


async def miss(host: Harbour, gap: int, *, is_alarming: bool, name: str = NEWSLETTER.name) -> None:
    """What the reconciler writes down once leads stay away."""
    now = host.clock.now()
    check = FormCheck(
        vendor="memory",
        channel_external_id=CAFE.id,
        form_external_id=NEWSLETTER.id,
        name=name,
        theirs=gap,
        before=0,
        gap=gap,
        gap_since=now - timedelta(hours=2),
        alarmed_at=now if is_alarming else None,
        first_at=now - timedelta(days=3),
        checked_at=now,
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.form_checks.save(check)


def below(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def saved(host: Harbour, *rules: dict[str, Any], on: int = 0, **more: Any) -> dict[str, Any]:
    body = {"basedOn": on, "rules": list(rules), **more}
    answer = await ask(host, f"/crm/lead-forms/{NEWSLETTER.id}/mapping", method="PUT", body=body)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def mapping(host: Harbour) -> dict[str, Any]:
    view: dict[str, Any] = await read(host, f"/crm/lead-forms/{NEWSLETTER.id}/mapping")
    return view


@attrs.define
class Editor:
    """The editor's page as a browser without script has it: what stands in it is what is sent."""

    browser: Browser
    fields: dict[str, list[str]]
    page: Page

    @classmethod
    async def opened(cls, browser: Browser, query: str = "") -> "Editor":
        page = await browser.page(EDITOR + query)
        return cls(browser, page.form(EDITOR), page)

    async def press(self, button: str, **typed: str | list[str]) -> httpx.Response:
        """Fill something in and press a button; what comes back is the page from then on."""
        for name, value in typed.items():
            place = name.replace("__", ".")
            self.fields[place] = value if isinstance(value, list) else [value]
        answer = await self.browser.post(EDITOR, {**self.fields, "do": button})
        if answer.status_code != 303:
            self.page = Page(answer.text)
            self.fields = self.page.form(EDITOR)
        return answer

    @property
    def wrong(self) -> set[str]:
        """The fields that are said to be wrong."""
        tags = [*self.page.all("input"), *self.page.all("select")]
        return {each["name"] for each in tags if "aria-invalid" in each}
