"""What every `LeadForms` promises to whoever cannot, or need not, ask the vendor what a form asks."""

from datetime import timedelta

import attrs

from moorage_ports.lead_forms import KnownForm
from moorage_ports.lead_source import Consent, LeadCounts, LeadForm, Meaning, Option, Question
from moorage_ports.storage import Storage
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.holding import VENDOR
from moorage_ports.testing.lent import BEGINNING

KNOWN = KnownForm(
    vendor=VENDOR,
    form=LeadForm(
        external_id="form-1",
        channel_external_id="board-1",
        name="Nouveautés",
        status="open",
        locale="fr_FR",
        questions=(
            Question(key="email", label="Votre adresse ?", meaning=Meaning.EMAIL),
            Question(key="ça", label="Ça vous dit ?", options=(Option(key="oui", label="Oui !"),)),
        ),
        consents=(Consent(key="news", text="Write to me", is_required=True),),
        counts=LeadCounts(total=7, expired=2),
    ),
    read_at=BEGINNING,
)


def _known(
    form_id: str, *, board: str = "board-1", later: timedelta = timedelta(), name: str = ""
) -> KnownForm:
    form = attrs.evolve(
        KNOWN.form, external_id=form_id, channel_external_id=board, name=name or KNOWN.form.name
    )
    return attrs.evolve(KNOWN, form=form, read_at=BEGINNING + later)


class LeadFormsContract(Contract):
    """Subclass as `Test<Adapter>`; provide `storage`, empty."""

    async def _all(self, storage: Storage, org_id: str = "acme") -> tuple[KnownForm, ...]:
        async with storage.unit_of_work(org_id, reads_only=True) as work:
            return await work.lead_forms.all()

    async def test_what_was_read_last_is_what_is_known(self, storage: Storage) -> None:
        """Whole, with questions, consents and counts; a reading that comes late takes nothing back."""
        empty = attrs.evolve(KNOWN, form=attrs.evolve(KNOWN.form, external_id="form-0", counts=None))
        empty = attrs.evolve(
            empty, form=attrs.evolve(empty.form, questions=(), consents=(), knows_consents=False)
        )
        newer = _known("form-1", later=timedelta(minutes=1), name="News")
        for forms in ([KNOWN, empty], [newer], [KNOWN], []):
            async with storage.unit_of_work("acme") as work:
                await work.lead_forms.save_all(forms)

        assert await self._all(storage) == (empty, newer)
        async with storage.unit_of_work("acme", reads_only=True) as work:
            assert await work.lead_forms.get(VENDOR, "form-1") == newer
            assert await work.lead_forms.get(VENDOR, "form-2") is None
            assert await work.lead_forms.get("elsewhere", "form-1") is None

    async def test_of_a_form_of_two_channels_the_last_reading_is_told(self, storage: Storage) -> None:
        """Both are kept, and either may be the newer one."""
        here, there = _known("form-1", later=timedelta(hours=1)), _known("form-1", board="board-2")
        async with storage.unit_of_work("acme") as work:
            await work.lead_forms.save_all([there, here])
            assert await work.lead_forms.get(VENDOR, "form-1") == here
            again = attrs.evolve(there, read_at=BEGINNING + timedelta(hours=2))
            await work.lead_forms.save_all([again])
            assert await work.lead_forms.get(VENDOR, "form-1") == again
        assert await self._all(storage) == (here, again)

    async def test_names_are_known_without_the_rest(self, storage: Storage) -> None:
        """Of every form; of one on two channels as it was read last, and else as `get` would have it."""
        here = _known("form-1", later=timedelta(hours=1), name="Here")
        there = _known("form-1", board="board-2", name="There")
        others = [_known("form-2", name="Other"), _known("form-2", board="board-2", name="Another")]
        async with storage.unit_of_work("globex") as work:
            await work.lead_forms.save_all([_known("form-3")])
        async with storage.unit_of_work("acme") as work:
            await work.lead_forms.save_all([here, there, *others])
            known = await work.lead_forms.get(VENDOR, "form-2")
            assert known is not None
            assert await work.lead_forms.names() == {
                (VENDOR, "form-1"): "Here",
                (VENDOR, "form-2"): known.form.name,
            }

    async def test_forms_that_are_gone_are_forgotten_and_others_stay(self, storage: Storage) -> None:
        """Of this channel; another's stand, and so do another org's."""
        elsewhere = _known("form-1", board="board-2")
        for org_id in ("acme", "globex"):
            async with storage.unit_of_work(org_id) as work:
                await work.lead_forms.save_all([KNOWN, _known("form-2"), elsewhere])
        async with storage.unit_of_work("acme") as work:
            await work.lead_forms.keep_only(VENDOR, "board-1", ["form-2", "form-9"])
            assert await work.lead_forms.all() == (_known("form-2"), elsewhere)
            await work.lead_forms.keep_only(VENDOR, "board-1", [])

        assert await self._all(storage) == (elsewhere,)
        assert len(await self._all(storage, "globex")) == 3

    async def test_whatever_a_vendor_writes_can_be_kept(self, storage: Storage) -> None:
        """No NUL and no half of a character breaks a database."""
        strange = LeadForm(
            external_id="form-1",
            channel_external_id="board-1",
            name="\x00\ud800",
            status="open",
            questions=(Question(key="\ud800", label="\x00", options=(Option(key="\udfff", label="\x00"),)),),
            consents=(Consent(key="\x00", text="\ud800"),),
        )
        async with storage.unit_of_work("acme") as work:
            await work.lead_forms.save_all([attrs.evolve(KNOWN, form=strange)])
        (known,) = await self._all(storage)

        assert known.form.name == "\ufffd\ufffd"
        assert known.form.questions[0].options == (Option(key="\ufffd", label="\ufffd"),)
