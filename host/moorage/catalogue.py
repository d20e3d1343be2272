"""What is installed, as the platform asks for it: types, their vendors, operations and schemas."""

from collections.abc import Iterable

from moorage.schemas import request_schema, result_schema
from moorage.vendors import Vendors
from moorage_ports.capabilities import Capability
from moorage_ports.errors import UnknownVendorError
from moorage_ports.operations import Binding, Effect
from moorage_ports.plugin import Vendor

NO_VENDOR = "No vendor is installed: install a plugin (a distribution with a moorage.vendors entry point)."


def provider_of(vendor: Vendor) -> str:
    """The name that calls are addressed to."""
    return f"{vendor.slug}-provider"


def type_of(vendor: Vendor) -> str:
    """The vendor's first category, for answers that have room for one."""
    return vendor.categories[0] if vendor.categories else "other"


def operation_card(binding: Binding) -> dict[str, object]:
    """One operation with the schemas of both its bodies."""
    return {
        "name": binding.name,
        "summary": binding.summary,
        "effect": binding.operation.effect.value,
        "role": binding.operation.role.value,
        "methods": ["GET", "POST"] if binding.operation.effect is Effect.READS else ["POST"],
        "request": request_schema(binding.request),
        "result": result_schema(binding.result),
    }


def vendor_card(vendor: Vendor) -> dict[str, object]:
    """One vendor, whole."""
    return {
        "id": vendor.slug,
        "provider": provider_of(vendor),
        "name": vendor.title,
        "icon": vendor.icon,
        "categories": list(vendor.categories),
        "capabilities": {each.value: vendor.support(each).value for each in Capability},
        "operations": [operation_card(binding) for binding in vendor.operations],
        # What `config` of POST /upstream/save-integration has to be; `null`: the operator's app serves all.
        "appConfig": request_schema(vendor.own_app) if vendor.own_app else None,
    }


def all_types(vendors: Vendors) -> dict[str, object]:
    """Every type with its vendors; says so when there is none."""
    names = sorted({name for vendor in vendors for name in vendor.categories or ("other",)})
    answer: dict[str, object] = {"types": [_type_card(name, vendors) for name in names]}
    if not names:
        answer["message"] = NO_VENDOR
    return answer


def one_type(vendors: Vendors, name: str) -> dict[str, object]:
    """A type, or one vendor (by slug or by provider name).

    Raises:
        UnknownVendorError: Nothing has that name.
    """
    vendor = vendors.by_slug.get(name.removesuffix("-provider"))
    if vendor is not None:
        return vendor_card(vendor)
    card = _type_card(name, vendors)
    if not card["providers"]:
        msg = "nothing that is installed has that name"
        raise UnknownVendorError(msg)
    return card


def named(vendors: Vendors, name: str) -> frozenset[str]:
    """The slugs that `name` stands for: a type's vendors, or one vendor."""
    slug = name.removesuffix("-provider")
    return frozenset([slug]) | {vendor.slug for vendor in _of_type(name, vendors)}


def _of_type(name: str, vendors: Iterable[Vendor]) -> list[Vendor]:
    return [vendor for vendor in vendors if name in (vendor.categories or ("other",))]


def _type_card(name: str, vendors: Iterable[Vendor]) -> dict[str, object]:
    return {
        "id": name,
        "name": name.capitalize(),
        "providers": [vendor_card(vendor) for vendor in _of_type(name, vendors)],
    }
