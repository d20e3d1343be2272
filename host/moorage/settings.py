"""Everything an operator may set: one typed object, read once at the start.

Sources, later ones win: a TOML file (`--config` or `MOORAGE_CONFIG`), `MOORAGE_<NAME>` variables and their
`MOORAGE_<NAME>_FILE` variants. A plugin's settings are `MOORAGE_<SLUG>_<FIELD>`, or `[<slug>]` in the file.
Whatever is unknown, missing, malformed or weak is listed and the host does not start.
"""

import base64
import binascii
import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import attrs
import cattrs
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from moorage.constraints import mistakes_of, sentence_of
from moorage.return_urls import ReturnTarget, return_target
from moorage.vendors import Vendors
from moorage_ports.plugin import Vendor, VendorSettings
from moorage_ports.secret import Secret
from moorage_ports.values import web_url

T = TypeVar("T")

_PREFIX: Final = "MOORAGE_"
_FILE: Final = "_FILE"
_NOT_SETTINGS: Final = frozenset({"MOORAGE_CONFIG", "MOORAGE_FAIL_POINT"})  # read elsewhere
_NOT_SETTINGS_PREFIX: Final = "MOORAGE_TEST_"
_DATABASE_URLS: Final = frozenset({"database_url", "database_owner_url"})  # they may hold passwords
_HOST_SECRET_BYTES: Final = 32
_VENDOR_SECRET_BYTES: Final = 8
# A word of four letters counts alone only: it stands in one of 25,000 random secrets, too.
_PLACEHOLDER: Final = re.compile(
    r"change[-_ ]?me|place[-_ ]?holder|example|your[-_ ]|insert|replace|fixme|dummy|password|passw0rd"
    r"|(?<![a-z0-9])todo(?![a-z0-9])"
    r"|letmein|qwerty|0123456789|abcdefgh|<.*>|\$\{|x{6,}|_secret_|top[-_ ]?secret|^secret|^test",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
# Metadata services of clouds are on a machine's link.
_OURS: Final = tuple(
    ip_network(one) for one in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/127", "fe80::/10")
)
_SPOKEN: Final = re.compile(r"[A-Za-z0-9 ,.!?'_-]{12,}")


class CannotStartError(Exception):
    """The host must not start; the text tells the operator why."""


class SettingsError(CannotStartError):
    """Its settings do not hold; `problems` are sentences for the operator, without any value in them."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@attrs.frozen(kw_only=True)
class JwtSettings:
    """How the platform's tokens are proven: one issuer, one algorithm, keys from here and nowhere else."""

    algorithm: str = attrs.field(default="HS256", validator=attrs.validators.in_(("HS256", "RS256", "ES256")))
    secret: Secret | None = None
    jwks_file: Path | None = None
    issuer: str = attrs.field(default="moorage", validator=attrs.validators.min_len(1))
    audience: str = attrs.field(default="moorage", validator=attrs.validators.min_len(1))
    max_lifetime: timedelta = timedelta(hours=1)
    leeway: timedelta = attrs.field(
        default=timedelta(seconds=30), validator=attrs.validators.le(timedelta(seconds=60))
    )

    def verification_keys(self) -> tuple[object, ...]:
        """The keys a signature may verify under.

        Raises:
            ValueError: There is none, or one is too weak for the algorithm.
        """
        if self.algorithm == "HS256":
            if self.secret is None or len(self.secret.reveal().encode()) < _HOST_SECRET_BYTES:
                msg = f"HS256 needs a secret of at least {_HOST_SECRET_BYTES} bytes"
                raise ValueError(msg)
            return (self.secret.reveal(),)
        if self.jwks_file is None:
            msg = f"{self.algorithm} needs a JWKS file"
            raise ValueError(msg)
        return _public_keys(self.jwks_file, self.algorithm)


def _public_keys(path: Path, algorithm: str) -> tuple[object, ...]:
    try:
        keys = jwt.PyJWKSet.from_dict(msgspec.json.decode(path.read_bytes(), type=dict[str, Any])).keys
    except (OSError, ValueError, jwt.PyJWTError, RecursionError):
        msg = "the JWKS file can't be read"
        raise ValueError(msg) from None
    fitting = tuple(key.key for key in keys if _fits(key.key, algorithm))
    if not fitting or len(fitting) > 10:
        msg = f"the JWKS file needs 1 to 10 public keys for {algorithm} (RSA: 2048 bits or more; EC: P-256)"
        raise ValueError(msg)
    return fitting


def _fits(key: object, algorithm: str) -> bool:
    if algorithm == "RS256":
        return isinstance(key, RSAPublicKey) and key.key_size >= 2048
    return isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1"


def _is_public_url(_: object, __: "attrs.Attribute[Any]", value: str) -> None:
    parts = urlsplit(value) if web_url(value) else None
    if parts is None or parts.path or parts.query or parts.fragment:
        msg = "must be an origin such as https://moorage.example, without a path or a slash at its end"
        raise ValueError(msg)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        msg = "must be https, except on this machine"
        raise ValueError(msg)


def _is_header_name(_: object, __: "attrs.Attribute[Any]", value: str) -> None:
    if value and not _HEADER.fullmatch(value):
        msg = "must be the name of a header, in lower case"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Settings:
    """The host's settings; `vendors` holds each plugin's own, by slug."""

    public_url: str = attrs.field(validator=_is_public_url)
    host: str = "127.0.0.1"
    port: int = attrs.field(default=8080, validator=[attrs.validators.ge(0), attrs.validators.le(65535)])
    database_url: str = attrs.field(default="sqlite:///moorage.sqlite3", repr=False)
    database_owner_url: str = attrs.field(
        default="", repr=False
    )  # who owns the tables; only `migrate` uses it
    keyring_file: Path
    jwt: JwtSettings
    state_secret: Secret
    return_urls: tuple[ReturnTarget, ...] = ()
    cors_origins: tuple[str, ...] = attrs.field(
        default=(), validator=attrs.validators.deep_iterable(_is_public_url)
    )
    log_level: str = attrs.field(
        default="INFO", validator=attrs.validators.in_(("DEBUG", "INFO", "WARNING", "ERROR"))
    )
    trusted_proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For is believed
    # The header in which the trusted proxies pass on the common name of a delivery's client certificate.
    webhook_client_cn_header: str = attrs.field(default="", validator=_is_header_name)
    # Megabytes of deliveries that may be in memory at once, read or being read, whoever sent them.
    webhook_memory_mb: int = attrs.field(
        default=256, validator=[attrs.validators.ge(16), attrs.validators.le(65_536)]
    )
    open_metrics: bool = False  # whether /metrics and /schema answer without a token
    open_schema: bool = False
    sync_every: timedelta = attrs.field(  # how often what people did on each channel is read
        default=timedelta(minutes=15), validator=attrs.validators.ge(timedelta(minutes=1))
    )
    # Networks beside us that messages may be sent into, although nobody from outside may choose them.
    outgoing_allow_networks: tuple[str, ...] = ()
    is_demo: bool = False
    vendors: Mapping[str, VendorSettings] = attrs.field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        """Rules over several settings."""
        if self.webhook_client_cn_header and not _are_networks(self.trusted_proxies):
            msg = "webhook_client_cn_header needs trusted_proxies: addresses or networks, and not everybody"
            raise ValueError(msg)
        opened = self.outgoing_networks()
        if not self.is_demo and any(
            ours.overlaps(one) for ours in _OURS for one in opened if _alike(ours, one)
        ):
            msg = "outgoing_allow_networks may hold no address of this machine or of its link, but in a demo"
            raise ValueError(msg)

    def outgoing_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks that messages may be sent into beside the public ones.

        Raises:
            ValueError: One of them is none.
        """
        try:
            return tuple(ip_network(one) for one in self.outgoing_allow_networks)
        except ValueError:
            msg = "outgoing_allow_networks must be networks such as 10.1.0.0/16"
            raise ValueError(msg) from None

    def fingerprints(self) -> dict[str, str]:
        """Every setting as a line for people; a secret shows only its length and the start of its hash."""
        shown = dict(_fingerprints("", self, skip="vendors"))
        for slug, settings in sorted(self.vendors.items()):
            if attrs.has(type(settings)):
                shown.update(_fingerprints(f"{slug}.", settings))
        return shown


def _alike(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version


def _are_networks(proxies: tuple[str, ...]) -> bool:
    """Whether there are any, and each is an address or a network that is not the whole world."""
    try:
        return bool(proxies) and all(ip_network(proxy, strict=False).prefixlen for proxy in proxies)
    except ValueError:
        return False


def _fingerprints(prefix: str, settings: object, skip: str = "") -> Iterator[tuple[str, str]]:
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(settings))):
        value = getattr(settings, field.name)
        if field.name == skip:
            continue
        if isinstance(value, JwtSettings):
            yield from _fingerprints(f"{prefix}{field.name}.", value)
        else:
            yield f"{prefix}{field.name}", _shown(field.name, value)


def _shown(name: str, value: object) -> str:
    if isinstance(value, Secret) and value:
        digest = hashlib.sha256(value.reveal().encode()).hexdigest()[:12]
        return f"set, {len(value.reveal())} characters, sha256 {digest}…"
    if isinstance(value, tuple):
        return ", ".join(_shown(name, each) for each in value) or "none"
    if isinstance(value, ReturnTarget):
        scheme, host, port = value.origin
        return f"{value.org_id + ':' if value.org_id else ''}{scheme}://{host}:{port}{value.path}"
    if name in _DATABASE_URLS:
        return re.sub(r"//[^@/]*@", "//…@", str(value)).partition("?")[0] or "not set"
    return "not set" if value in (None, "", Secret("")) else str(value)


# Reading -------------------------------------------------------------------------------------


def load_settings(
    vendors: Vendors, *, environ: MutableMapping[str, str] | None = None, config: Path | None = None
) -> Settings:
    """Read the settings of the host and of every installed vendor.

    Then the secrets leave `environ`, so that no child process or crash report inherits them. (The kernel
    keeps a copy of what a process was started with; files are better than variables for that reason.)

    Raises:
        SettingsError: With every problem there is, not only the first.
    """
    environ = os.environ if environ is None else environ
    config = config or (Path(environ["MOORAGE_CONFIG"]) if environ.get("MOORAGE_CONFIG") else None)
    problems: list[str] = []
    given = _Given(_toml(config, problems), environ, problems)
    jwt_settings = given.section(JwtSettings, "jwt")
    plugins = {vendor.slug: _vendor_section(given, vendor) for vendor in vendors}
    host = given.section(Settings, "", jwt=jwt_settings, vendors=plugins)
    given.refuse_the_rest(ignoring=tuple(vendors.broken))
    if isinstance(jwt_settings, JwtSettings):
        try:
            jwt_settings.verification_keys()
        except ValueError as weakness:
            problems.append(f"MOORAGE_JWT_*: {weakness}")
    if problems or host is None:
        raise SettingsError(tuple(problems))
    given.take_secrets_out()
    return host


def _vendor_section(given: "_Given", vendor: Vendor) -> VendorSettings | None:
    return given.section(vendor.settings, vendor.slug)


def _toml(path: Path | None, problems: list[str]) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        problems.append(f"the configuration file {path} can't be read")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        problems.append(f"the configuration file {path} is not TOML")
    return {}


class _Given:
    """What was given, consumed field by field, so that the rest is known to be unknown."""

    def __init__(
        self, toml: dict[str, object], environ: MutableMapping[str, str], problems: list[str]
    ) -> None:
        self._toml = toml
        self._environ = environ
        self._problems = problems
        self._used: set[str] = set()
        self._used_toml: set[str] = set()
        self._secrets: set[str] = set()

    def section(self, kind: type[T], section: str, **ready: object) -> T | None:
        """One attrs class filled from `section`; `None` when that failed (the problems say why)."""
        before = len(self._problems)
        values: dict[str, object] = {
            name: value for name, value in ready.items() if value is not None or name == "vendors"
        }
        types = attrs.resolve_types(cast("type[attrs.AttrsInstance]", kind))
        for field in attrs.fields(types):
            if field.name in ready or not field.init:
                continue
            raw = self._raw(section, field.alias)
            name = _variable(section, field.alias)
            if raw is None:
                if field.default is attrs.NOTHING:
                    self._problems.append(f"{name} is missing")
                continue
            if _holds_secrets(field.type) or field.name in _DATABASE_URLS:
                self._secrets.update((name, name + _FILE))
            least = _HOST_SECRET_BYTES if section in {"", "jwt"} else _VENDOR_SECRET_BYTES
            values[field.alias] = self._converted(name, raw, field, least=least)
        if len(self._problems) > before or ("jwt" in ready and ready["jwt"] is None):
            return None
        return self._made(kind, section, values)

    def _made(self, kind: type[T], section: str, values: dict[str, object]) -> T | None:
        try:
            return kind(**values)
        except (ValueError, TypeError) as wrong:  # a rule over several fields, as the class states it
            self._problems.append(f"{_variable(section, '*')}: {_reason(wrong)}")
            return None

    def _raw(self, section: str, name: str) -> object | None:
        variable = _variable(section, name)
        found: list[object] = []
        if variable in self._environ:
            self._used.add(variable)
            found.append(self._environ[variable])
        if variable + _FILE in self._environ:
            self._used.add(variable + _FILE)
            found.append(self._from_file(variable + _FILE))
        if len(found) > 1:
            self._problems.append(f"{variable} and {variable}{_FILE} are both set")
        table = self._toml.get(section) if section else self._toml
        if isinstance(table, dict) and name in table:
            self._used_toml.add(f"{section}.{name}")
            found.append(table[name])
        return found[0] if found else None

    def _from_file(self, variable: str) -> str:
        try:
            return Path(self._environ[variable]).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            self._problems.append(f"the file that {variable} names can't be read")
            return ""

    def _converted(self, name: str, raw: object, field: "attrs.Attribute[Any]", *, least: int) -> object:
        try:
            value: object = _CONVERTER.structure(raw, cast("type[object]", field.type))
        except (ValueError, TypeError, cattrs.BaseValidationError) as wrong:
            self._problems.append(f"{name} {_reason(wrong)}")
            return None
        self._problems.extend(f"{name} {said}" for _, said in mistakes_of(field, value))
        for secret in value if isinstance(value, tuple) else (value,):
            weakness = weakness_of(secret, least) if isinstance(secret, Secret) else None
            if weakness:
                self._problems.append(f"{name} {weakness}")
        return value

    def refuse_the_rest(self, *, ignoring: tuple[str, ...]) -> None:
        """Name every key that nothing read; those of a plugin that was left out are nobody's mistake."""
        absent = tuple(_variable(slug, "") + "_" for slug in ignoring)
        for key in sorted(self._environ):
            known = key in self._used or key in _NOT_SETTINGS or key.startswith(_NOT_SETTINGS_PREFIX)
            if key.startswith(_PREFIX) and not known and not (absent and key.startswith(absent)):
                self._problems.append(f"{key} is not a setting")
        for section, table in self._toml.items():
            if section in ignoring:
                continue
            names = [f"{section}.{name}" for name in table] if isinstance(table, dict) else [f".{section}"]
            for name in names:
                if name not in self._used_toml:
                    self._problems.append(f"{name.lstrip('.')} in the configuration file is not a setting")

    def take_secrets_out(self) -> None:
        """Forget the secrets' variables."""
        for name in self._secrets:
            self._environ.pop(name, None)


def _variable(section: str, name: str) -> str:
    return _PREFIX + "_".join(part for part in (section, name) if part).upper()


def weakness_of(secret: Secret, least: int) -> str | None:
    """Why nobody should trust `secret`, or `None`. The answer holds nothing of it."""
    value = secret.reveal()
    if len(value.encode()) < least:
        return f"is shorter than {least} bytes"
    if _PLACEHOLDER.search(value):
        return "looks like a placeholder"
    if len(set(value)) < min(8, least // 2 + 1):
        return "repeats itself"
    if _is_encoded_words(value):
        return "is encoded words, not random bytes"
    return None


def _is_encoded_words(value: str) -> bool:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    try:
        return bool(_SPOKEN.fullmatch(decoded.decode("ascii").strip()))
    except UnicodeDecodeError:
        return False


def _holds_secrets(kind: object) -> bool:
    return "Secret" in str(kind)


def _reason(wrong: BaseException) -> str:
    """Our own sentence when there is one; never the value that was given."""
    while isinstance(wrong, cattrs.BaseValidationError):
        wrong = wrong.exceptions[0]
    return sentence_of(wrong)


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        msg = "must be text"
        raise TypeError(msg)
    return value


def _whole(value: object, _: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        msg = "must be a whole number"
        raise ValueError(msg)
    return value


def _flag(value: object, _: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    found = value if isinstance(value, bool) else known.get(str(value).lower())
    if found is None:
        msg = "must be true or false"
        raise ValueError(msg)
    return found


def _converter() -> cattrs.Converter:
    """Text to values: variables are always text, TOML may say it in its own types."""
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(bool, _flag)
    converter.register_structure_hook(Secret, lambda value, _: Secret(_text(value, _)))
    converter.register_structure_hook(Path, lambda value, _: Path(_text(value, _)))
    converter.register_structure_hook(timedelta, lambda value, _: timedelta(seconds=_whole(value, _)))
    converter.register_structure_hook(ReturnTarget, lambda value, _: return_target(_text(value, _)))

    @converter.register_structure_hook_factory(lambda kind: getattr(kind, "__origin__", None) is tuple)
    def _listed(kind: Any) -> Any:
        element = kind.__args__[0]

        def structure(value: object, _: object) -> tuple[object, ...]:
            items = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
            if not isinstance(items, list):
                msg = "must be a list"
                raise ValueError(msg)
            return tuple(converter.structure(item, element) for item in items if item != "")

        return structure

    return converter


_CONVERTER: Final = _converter()
