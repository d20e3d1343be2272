"""What the kit lends a vendor's tests keeps the promises of what the host lends."""

import pytest

from moorage_ports.testing.lent import FakeSecretStore
from moorage_ports.testing.secret_store import OpenStore, SecretStoreContract


class TestFakeSecretStore(SecretStoreContract):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        stores: dict[tuple[str, str], FakeSecretStore] = {}
        return lambda org_id, vendor: stores.setdefault((org_id, vendor), FakeSecretStore())
