"""Forms are kept as they were last read: what they ask is known also while their vendor cannot be reached."""

from collections.abc import Collection
from datetime import datetime

from moorage_ports.lead_forms import KnownForm
from moorage_ports.lead_source import LeadForm
from moorage_ports.storage import UnitOfWork


async def remember_form(uow: UnitOfWork, vendor: str, form: LeadForm, read_at: datetime) -> None:
    """Keep one form as it was just read."""
    await uow.lead_forms.save_all([KnownForm(vendor=vendor, form=form, read_at=read_at)])


async def remember_forms(
    uow: UnitOfWork, vendor: str, channel_external_id: str, forms: Collection[LeadForm], read_at: datetime
) -> None:
    """Keep all forms of a channel as they were just read, and no others of it."""
    await uow.lead_forms.keep_only(vendor, channel_external_id, [form.external_id for form in forms])
    await uow.lead_forms.save_all([KnownForm(vendor=vendor, form=form, read_at=read_at) for form in forms])
