"""The memory vendor keeps every promise that a vendor can make."""

from moorage_ports.testing.activity_sync import ActivitySyncContract
from moorage_ports.testing.authorizer import AuthorizerContract
from moorage_ports.testing.direct_messages import DirectMessagesContract
from moorage_ports.testing.directory import DirectoryContract
from moorage_ports.testing.lead_source import LeadSourceContract
from moorage_ports.testing.profiles import ProfilesContract
from moorage_ports.testing.publisher import PublisherContract
from moorage_ports.testing.subscriptions import SubscriptionsContract
from moorage_ports.testing.token_vault import TokenVaultContract
from moorage_ports.testing.vendor import VendorContract
from moorage_ports.testing.webhooks import WebhookSourceContract
from tests.contract.memory_weather import OnMemory


class TestMemoryVendor(OnMemory, VendorContract): ...


class TestMemoryAuthorizer(OnMemory, AuthorizerContract): ...


class TestMemoryTokenVault(OnMemory, TokenVaultContract): ...


class TestMemoryDirectory(OnMemory, DirectoryContract): ...


class TestMemorySubscriptions(OnMemory, SubscriptionsContract): ...


class TestMemoryPublisher(OnMemory, PublisherContract): ...


class TestMemoryLeadSource(OnMemory, LeadSourceContract): ...


class TestMemoryActivitySync(OnMemory, ActivitySyncContract): ...


class TestMemoryDirectMessages(OnMemory, DirectMessagesContract): ...


class TestMemoryProfiles(OnMemory, ProfilesContract): ...


class TestMemoryWebhooks(OnMemory, WebhookSourceContract): ...
