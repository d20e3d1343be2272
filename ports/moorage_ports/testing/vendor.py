"""What every vendor's calling card promises, before anything is asked of its ports."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Final, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pluggy
import pytest

from moorage_ports.activity_sync import ActivitySync
from moorage_ports.apps import AppCredentials
from moorage_ports.authorizer import Authorizer
from moorage_ports.capabilities import Capability, Support
from moorage_ports.direct_messages import DirectMessages
from moorage_ports.directory import Directory
from moorage_ports.lead_source import LeadSource
from moorage_ports.operations import Binding
from moorage_ports.plugin import PROJECT, Vendor, VendorContext, VendorHooks
from moorage_ports.profiles import Profiles
from moorage_ports.publisher import Publisher
from moorage_ports.secret import Secret
from moorage_ports.subscriptions import Subscriptions
from moorage_ports.testing.connected import VendorFixtures
from moorage_ports.token_vault import TokenVault

PORTS: Final[Mapping[str, type]] = {
    "authorizer": Authorizer,
    "token_vault": TokenVault,
    "directory": Directory,
    "subscriptions": Subscriptions,
    "publisher": Publisher,
    "lead_source": LeadSource,
    "activity_sync": ActivitySync,
    "direct_messages": DirectMessages,
    "profiles": Profiles,
}
CONNECTING: Final = ("authorizer", "token_vault", "directory")
NEEDED_BY_CAPABILITY: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.PUBLISH_POSTS: (*CONNECTING, "publisher"),
    Capability.PUBLISH_IMAGES: (*CONNECTING, "publisher"),
    Capability.PUBLISH_VIDEOS: (*CONNECTING, "publisher"),
    Capability.SCHEDULE_POSTS: (*CONNECTING, "publisher"),
    Capability.SYNC_ACTIVITY: (*CONNECTING, "activity_sync"),
    Capability.ANSWER_COMMENTS: (*CONNECTING, "activity_sync"),
    Capability.DIRECT_MESSAGES: (*CONNECTING, "direct_messages", "subscriptions", "webhooks"),
    Capability.RECEIVE_LEADS: (*CONNECTING, "lead_source", "subscriptions", "webhooks"),
}
NEEDED_BY_OPERATION: Final[Mapping[str, tuple[str, ...]]] = {
    "begin_connect": ("authorizer",),
    "complete_connect": ("authorizer", "token_vault"),
    "list_channels": ("directory",),
    "select_channels": ("directory",),
    "publish": ("publisher",),
    "sync_activity": ("activity_sync",),
    "reply_to_comment": ("activity_sync",),
    "hide_comment": ("activity_sync",),
    "reply_privately": ("direct_messages",),
    "send_message": ("direct_messages",),
}
SAYABLE: Final = (str, int, float, bool, datetime, NoneType)
OUTWARD: Final = (
    "socket.",
    "subprocess.",
    "sqlite3.",
    "os.system",
    "os.exec",
    "urllib.",
    "ftplib.",
    "smtplib.",
)

_touched: ContextVar[list[str] | None] = ContextVar("touched", default=None)


def _notice(event: str, arguments: tuple[object, ...]) -> None:
    touched = _touched.get()
    if touched is not None and event.startswith(OUTWARD):
        touched.append(event)
    if touched is not None and event == "open" and len(arguments) > 1 and "w" in str(arguments[1] or ""):
        touched.append(f"open {arguments[0]} for writing")


sys.addaudithook(_notice)


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Collect what reaches outside the process (see Python's table of audit events)."""
    touched: list[str] = []
    token = _touched.set(touched)
    try:
        yield touched
    finally:
        _touched.reset(token)


def unsayable(declared: object, path: str) -> list[str]:
    """Where a type holds something that JSON Schema has no word for."""
    origin, arguments = get_origin(declared), get_args(declared)
    if declared in SAYABLE or origin is Literal:
        return []
    if isinstance(declared, type) and issubclass(declared, Enum):
        return []
    if isinstance(declared, type) and attrs.has(declared):
        hints = get_type_hints(declared)
        return [
            at
            for field in attrs.fields(declared)
            for at in unsayable(hints[field.name], f"{path}.{field.name}")
        ]
    if origin in {Union, UnionType, tuple, list, frozenset}:
        return [at for one in arguments if one is not Ellipsis for at in unsayable(one, path)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = arguments
        return ([] if key is str else [f"{path}: keys must be text"]) + unsayable(value, f"{path}[…]")
    return [f"{path}: {declared}"]


class VendorContract(VendorFixtures):
    """Subclass as `Test<Vendor>`; provide `plugin` (what is registered with the host) and `world`."""

    @pytest.fixture
    def vendor(self, plugin: object) -> Vendor:
        """The card, asked for as the host does."""
        return registered(plugin)

    def test_the_plugin_answers_the_hook(self, plugin: object) -> None:
        """It registers, misspells no hook, and hands over one card."""
        vendor = registered(plugin)

        assert vendor.title.strip()
        assert vendor.categories

    def test_registration_reaches_nothing(self, plugin: object) -> None:
        """A host with thirty vendors starts as fast as one with none, also without a network."""
        registered(plugin)  # what is imported late is imported now
        with _watched() as touched:
            registered(plugin)

        assert touched == []

    def test_ports_are_built_without_reaching_anything(self, vendor: Vendor, context: VendorContext) -> None:
        """They are built per call; asking is what costs."""
        for name, port in PORTS.items():
            factory = getattr(vendor, name)
            if factory is None:
                continue
            with _watched() as touched:
                built = factory(context)
            assert touched == []
            _check_shape(built, port)

    def test_a_full_capability_has_its_ports(self, vendor: Vendor) -> None:
        """`FULL` is a promise that somebody will call in."""
        for capability, support in vendor.capabilities.items():
            if support is Support.FULL:
                missing = [p for p in NEEDED_BY_CAPABILITY.get(capability, ()) if getattr(vendor, p) is None]
                assert missing == [], f"{capability} is declared full"

    def test_an_operation_has_its_ports(self, vendor: Vendor) -> None:
        """What can be asked by name can be done."""
        for binding in vendor.operations:
            needed = NEEDED_BY_OPERATION.get(binding.operation.name, ())
            assert [port for port in needed if getattr(vendor, port) is None] == [], binding.name

    def test_operation_names_are_bound_once(self, vendor: Vendor) -> None:
        """A name means one thing."""
        names = [binding.name for binding in vendor.operations]

        assert len(set(names)) == len(names)

    def test_bodies_can_be_described(self, vendor: Vendor) -> None:
        """Requests and results are attrs classes of types that JSON Schema knows, all the way down."""
        for binding in vendor.operations:
            for body in (binding.request, binding.result):
                assert attrs.has(body), f"{binding.name}: {body} is no attrs class"
                assert unsayable(body, body.__name__) == []

    def test_operations_say_what_they_do(self, vendor: Vendor) -> None:
        """Docs and forms are made from it."""
        for binding in vendor.operations:
            assert _is_sentence(binding), binding.name

    def test_without_settings_there_is_no_app(self, vendor: Vendor) -> None:
        """An operator who configured nothing has no secret that anybody could know."""
        assert vendor.settings().app() is None

    def test_secret_settings_are_secrets(self, vendor: Vendor) -> None:
        """So that printing the settings tells nobody."""
        for name, declared in get_type_hints(vendor.settings).items():
            if name.endswith(("secret", "secrets", "token", "password", "key")):
                assert Secret in {declared, *get_args(declared)}, f"{name} is a {declared}"

    def test_an_app_of_an_orgs_own_can_be_proven_and_described(self, vendor: Vendor) -> None:
        """Who lets orgs bring an app can ask the vendor about it; its secrets are secrets in JSON, too."""
        if vendor.own_app is None:
            return
        assert vendor.authorizer is not None
        assert issubclass(vendor.own_app, AppCredentials)
        for name, declared in get_type_hints(vendor.own_app).items():
            is_secret = Secret in {declared, *get_args(declared)}
            assert is_secret or not name.endswith(("secret", "token", "password", "key")), name
            assert is_secret or unsayable(declared, name) == []


def registered(plugin: object) -> Vendor:
    """Register `plugin` with a host that has no other, and ask it for its card."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(VendorHooks)
    manager.register(plugin)
    manager.check_pending()
    cards = manager.hook.moorage_vendor()
    assert len(cards) == 1, "the plugin does not implement the hook moorage_vendor"
    assert isinstance(cards[0], Vendor)
    return cards[0]


def _is_sentence(binding: Binding) -> bool:
    return binding.summary.endswith(".") and binding.summary[:1].isupper()


def _check_shape(built: object, port: type) -> None:
    """Every method of the port is there, with the port's own parameters, async where the port is."""
    for name, declared in vars(port).items():
        if name.startswith("_") or not inspect.isfunction(declared):
            continue
        method = getattr(built, name, None)
        assert callable(method), f"{type(built).__name__} has no {name}"
        assert inspect.iscoroutinefunction(method) is inspect.iscoroutinefunction(declared), name
        wanted = [parameter for parameter in inspect.signature(declared).parameters if parameter != "self"]
        assert list(inspect.signature(method).parameters)[: len(wanted)] == wanted, name
