"""Finds vendor plugins: by entry point, without trusting any of them to import."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import attrs
import pluggy
import structlog

from moorage_ports.errors import UnknownVendorError
from moorage_ports.operations import Binding, Operation
from moorage_ports.plugin import ENTRY_POINT_GROUP, PROJECT, Vendor, VendorHooks

log = structlog.get_logger(__name__)


class PluginClashError(Exception):
    """Two plugins claim the same vendor slug, or one vendor binds a name twice: the host does not start."""


@attrs.frozen
class Vendors:
    """The vendors that are installed, and those that were left out with the reason."""

    by_slug: Mapping[str, Vendor]
    broken: Mapping[str, str] = attrs.field(factory=dict)  # entry point name -> why it was left out

    def __iter__(self) -> Iterator[Vendor]:
        return iter(self.by_slug.values())

    @property
    def token_shapes(self) -> tuple[re.Pattern[str], ...]:
        """What the tokens of all of them look like."""
        return tuple(shape for vendor in self for shape in vendor.token_shapes)

    @property
    def titles(self) -> Mapping[str, str]:
        """What people call each, by its slug."""
        return {vendor.slug: vendor.title for vendor in self}

    def get(self, slug: str) -> Vendor:
        """The vendor of that slug.

        Raises:
            UnknownVendorError: None is installed.
        """
        vendor = self.by_slug.get(slug)
        if vendor is None:
            msg = "no installed vendor answers to that name"
            raise UnknownVendorError(msg)
        return vendor


def binding_named(vendor: Vendor, name: str) -> Binding | None:
    """The vendor's binding of that operation name, if any."""
    return next((binding for binding in vendor.operations if binding.name == name), None)


def binding_of(vendor: Vendor, operation: Operation[Any, Any]) -> Binding | None:
    """The vendor's first binding of a neutral operation, if any."""
    return next((binding for binding in vendor.operations if binding.operation is operation), None)


def installed_vendors(*extra: object, entries: tuple[EntryPoint, ...] | None = None) -> Vendors:
    """Ask every installed plugin who it is.

    A plugin that does not import or answer is reported and left out: one broken vendor must not stop the
    others. A clash or a misspelt hook is a mistake of whoever installed it, and stops the start.

    Raises:
        PluginClashError: Two plugins claim one slug, or a vendor binds one name twice.
        pluggy.PluginValidationError: A plugin implements a hook that does not exist.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(VendorHooks)
    broken: dict[str, str] = {}
    found = tuple(entry_points(group=ENTRY_POINT_GROUP)) if entries is None else entries
    for entry in found:
        try:
            manager.register(entry.load(), name=f"{entry.dist.name if entry.dist else '?'}:{entry.name}")
        except pluggy.PluginValidationError:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever a stranger's import raises
            broken[entry.name] = f"{type(failure).__name__}: {failure}"
            log.warning("vendor_plugin_left_out", plugin=entry.name, reason=broken[entry.name])
    for number, plugin in enumerate(extra):
        manager.register(plugin, name=f"extra:{number}")
    manager.check_pending()
    return Vendors(_by_slug(manager), broken)


def _by_slug(manager: pluggy.PluginManager) -> dict[str, Vendor]:
    by_slug: dict[str, Vendor] = {}
    for vendor in manager.hook.moorage_vendor():
        if vendor.slug in by_slug:
            msg = f"two plugins claim the vendor {vendor.slug!r}"
            raise PluginClashError(msg)
        names = [binding.name for binding in vendor.operations]
        if len(set(names)) != len(names):
            msg = f"the vendor {vendor.slug!r} binds an operation name twice"
            raise PluginClashError(msg)
        by_slug[vendor.slug] = vendor
    return dict(sorted(by_slug.items()))
