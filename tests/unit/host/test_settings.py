"""L8: settings are read once, whole, strictly; secrets leave the environment and show only fingerprints."""

import secrets
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.settings import Settings, SettingsError, load_settings, weakness_of
from moorage.vendors import Vendors
from moorage_ports.plugin import Vendor
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp


@attrs.frozen(kw_only=True)
class ShopSettings:
    """Settings of a plugin, with every type that one may use."""

    app_id: str = ""
    app_secret: Secret = attrs.field(factory=lambda: Secret(""))
    old_secrets: tuple[Secret, ...] = ()
    retries: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    is_live: bool = False
    folder: Path | None = None

    def app(self) -> VendorApp | None:
        return None


VENDORS = Vendors(
    {"shop": Vendor(slug="shop", title="Shop", settings=ShopSettings)}, {"lame": "ImportError: x"}
)


def enough(**more: str) -> dict[str, str]:
    """The variables that a host cannot do without."""
    return {
        "MOORAGE_PUBLIC_URL": "https://host.example",
        "MOORAGE_KEYRING_FILE": "keyring.json",
        "MOORAGE_STATE_SECRET": secrets.token_urlsafe(32),
        "MOORAGE_JWT_SECRET": secrets.token_urlsafe(32),
        **{f"MOORAGE_{name.upper()}": value for name, value in more.items()},
    }


def problems(environ: dict[str, str], config: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_settings(VENDORS, environ=environ, config=config)
    return list(refusal.value.problems)


def test_variables_become_one_typed_object() -> None:
    loaded = load_settings(
        VENDORS,
        environ=enough(
            port="9000",
            return_urls="https://a.example/app, org-1:https://b.example",
            cors_origins="https://a.example",
            is_demo="true",
            jwt_max_lifetime="600",
            shop_app_id="77",
            shop_app_secret="9f8e7d6c5b4a39281706",
            shop_old_secrets="5b4a392817069f8e7d6c,17069f8e7d6c5b4a3928",
            shop_retries="5",
            shop_is_live="yes",
            shop_folder="/srv/shop",
        ),
    )

    assert (loaded.port, loaded.is_demo, loaded.jwt.max_lifetime.total_seconds()) == (9000, True, 600)
    assert [(target.org_id, target.path) for target in loaded.return_urls] == [(None, "/app"), ("org-1", "/")]
    assert loaded.vendors["shop"] == ShopSettings(
        app_id="77",
        app_secret=Secret("9f8e7d6c5b4a39281706"),
        old_secrets=(Secret("5b4a392817069f8e7d6c"), Secret("17069f8e7d6c5b4a3928")),
        retries=5,
        is_live=True,
        folder=Path("/srv/shop"),
    )


def test_a_file_says_the_same_and_variables_win(tmp_path: Path) -> None:
    config = tmp_path / "moorage.toml"
    config.write_text(
        'public_url = "https://file.example"\nport = 9001\ncors_origins = ["https://a.example"]\n'
        f'keyring_file = "k"\nstate_secret = "{secrets.token_urlsafe(32)}"\n'
        f'[jwt]\nsecret = "{secrets.token_urlsafe(32)}"\n[shop]\napp_id = "78"\nis_live = true\n'
    )

    loaded = load_settings(VENDORS, environ={"MOORAGE_PORT": "9002", "MOORAGE_CONFIG": str(config)})

    assert (loaded.public_url, loaded.port) == ("https://file.example", 9002)
    assert loaded.vendors["shop"] == ShopSettings(app_id="78", is_live=True)


def test_l8_secrets_come_from_files_and_leave_the_environment(tmp_path: Path) -> None:
    """L8: after the start nothing secret stands in the environment; what is not secret may."""
    file = tmp_path / "secret"
    file.write_text(secrets.token_urlsafe(32) + "\n")
    environ = enough(
        jwt_secret_file=str(file), shop_app_secret="9f8e7d6c5b4a39281706", database_url="sqlite:///x"
    )
    del environ["MOORAGE_JWT_SECRET"]

    loaded = load_settings(VENDORS, environ=environ)

    assert loaded.jwt.secret == Secret(file.read_text().strip())
    assert set(environ) == {"MOORAGE_PUBLIC_URL", "MOORAGE_KEYRING_FILE"}


def test_l8_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    """L8: missing, malformed, weak and unknown, each by name, none with its value."""
    config = tmp_path / "moorage.toml"
    config.write_text('colour = "red"\n[shop]\ntaste = 1\n[jwt]\nissuer = 5\n[attic]\nx = 1\n')
    environ = {
        "MOORAGE_PORT": "99999",
        "MOORAGE_PUBLIC_URL": "http://elsewhere.example/path",
        "MOORAGE_STATE_SECRET": "changeme" * 8,
        "MOORAGE_JWT_SECRET": "short-VALUE",
        "MOORAGE_HOSTT": "typo-VALUE",
        "MOORAGE_SHOP_RETRIES": "-1",
        "MOORAGE_SHOP_COLOUR": "red",
        "MOORAGE_LAME_APP_ID": "belongs to a plugin that was left out",
        "MOORAGE_TEST_POSTGRES": "not ours",
        "MOORAGE_FAIL_POINT": "not ours",
        "PATH": "/bin",
    }

    found = problems(environ, config)

    for part in (
        "MOORAGE_PORT must be at most 65535",
        "MOORAGE_PUBLIC_URL must be",
        "MOORAGE_STATE_SECRET looks like a placeholder",
        "MOORAGE_JWT_SECRET is shorter than 32 bytes",
        "MOORAGE_KEYRING_FILE is missing",
        "MOORAGE_HOSTT is not a setting",
        "MOORAGE_SHOP_RETRIES must be at least 0",
        "MOORAGE_SHOP_COLOUR is not a setting",
        "MOORAGE_JWT_ISSUER",
        "colour in the configuration file is not a setting",
        "shop.taste in the configuration file is not a setting",
        "attic.x in the configuration file is not a setting",
    ):
        assert any(each.startswith(part) for each in found), (part, found)
    assert len(found) == 12, found
    assert "VALUE" not in " ".join(found)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"jwt_algorithm": "none"}, "must be one of"),
        ({"jwt_algorithm": "RS256"}, "needs a JWKS file"),
        ({"jwt_leeway": "61"}, "must be at most"),
        ({"public_url": "http://host.example"}, "must be https"),
        ({"public_url": "https://host.example/"}, "must be an origin"),
        ({"public_url": "https://user@host.example"}, "must be an origin"),
        ({"cors_origins": "*"}, "must be an origin"),
        ({"return_urls": "//evil.example"}, "must look like"),
        ({"state_secret_file": "/no/such/file"}, "both set"),
        ({"jwt_jwks_file_file": "/no/such/file"}, "can't be read"),
        ({"is_demo": "perhaps"}, "true or false"),
        ({"port": "eighty"}, "whole number"),
    ],
)
def test_what_does_not_hold_does_not_start(variables: dict[str, str], says: str) -> None:
    assert says in " ".join(problems(enough(**variables)))


def test_a_config_that_is_not_there_or_not_toml_does_not_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("= = =")

    assert "can't be read" in " ".join(problems(enough(), tmp_path / "absent.toml"))
    assert "is not TOML" in " ".join(problems(enough(), broken))


WEAK = [
    "short",
    "changeme-changeme-changeme-changeme",
    "your-secret-goes-here-your-secret-goes",
    "PLACEHOLDER_PLACEHOLDER_PLACEHOLDER_",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababababababababababababababab",
    "012345678901234567890123456789012345678901",
    "dGhpcyBpcyBhIHZlcnkgc2VjcmV0IHNlbnRlbmNl",  # "this is a very secret sentence"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "password1234567890password1234567890",
]


@pytest.mark.parametrize("value", WEAK)
def test_l8_weak_secrets_are_refused(value: str) -> None:
    """L8: short, placeholders, repetition, words in base64."""
    assert weakness_of(Secret(value), 32)


@given(st.binary(min_size=32, max_size=32).filter(lambda raw: len(set(raw)) > 20))
def test_random_secrets_are_not_taken_for_weak(raw: bytes) -> None:
    assert weakness_of(Secret(raw.hex()), 32) in {None, "looks like a placeholder"}


def test_l8_fingerprints_show_no_secret() -> None:
    """L8: `moorage check-config` is safe to paste anywhere."""
    environ = enough(
        database_url="postgresql://moorage:hunter22@db.example/moorage?password=hunter22",
        shop_app_secret="9f8e7d6c5b4a39281706",
        shop_old_secrets="5b4a392817069f8e7d6c",
    )
    hidden = [environ[f"MOORAGE_{name}"] for name in ("STATE_SECRET", "JWT_SECRET", "SHOP_APP_SECRET")]

    loaded = load_settings(VENDORS, environ=environ)
    shown = loaded.fingerprints()

    text = f"{shown} {loaded!r}"
    assert not [value for value in (*hidden, "hunter22", "5b4a392817069f8e7d6c") if value in text]
    assert shown["shop.app_secret"].startswith("set, 20 characters, sha256 ")
    assert shown["shop.old_secrets"].startswith("set, 20 characters")
    assert shown["database_url"] == "postgresql://…@db.example/moorage"


def test_what_is_not_set_is_called_so() -> None:
    """An empty secret has a fingerprint, too, and looked as if somebody had set it."""
    shown = load_settings(VENDORS, environ=enough()).fingerprints()

    assert (shown["shop.app_secret"], shown["webhook_client_cn_header"]) == ("not set", "not set")


def test_a_plugin_without_settings_of_its_own_given_has_its_defaults() -> None:
    loaded: Settings = load_settings(VENDORS, environ=enough())

    assert loaded.vendors["shop"] == ShopSettings()


def test_networks_beside_the_host_are_opened_by_the_operator_alone() -> None:
    opened = load_settings(VENDORS, environ=enough(outgoing_allow_networks="10.1.0.0/16, fd00:1::/32"))
    assert [str(one) for one in opened.outgoing_networks()] == ["10.1.0.0/16", "fd00:1::/32"]
    assert load_settings(VENDORS, environ=enough()).outgoing_networks() == ()
    said = problems(enough(outgoing_allow_networks="crm.internal"))
    assert said == ["MOORAGE_*: outgoing_allow_networks must be networks such as 10.1.0.0/16"]


@pytest.mark.parametrize(
    "network",
    ["127.0.0.0/8", "127.0.0.1", "::1", "0.0.0.0/0", "::/0", "169.254.169.254", "fe80::/64"],
)
def test_this_machine_and_its_link_are_never_opened_but_in_a_demo(network: str) -> None:
    (said,) = problems(enough(outgoing_allow_networks=network))
    assert "outgoing_allow_networks" in said
    assert network not in said
    demo = load_settings(VENDORS, environ=enough(outgoing_allow_networks=network, is_demo="true"))
    assert len(demo.outgoing_networks()) == 1
