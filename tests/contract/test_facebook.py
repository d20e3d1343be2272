"""The Facebook plugin keeps every promise that a vendor can make, against a sandbox that speaks Graph."""

import pytest

from moorage_facebook.settings import GraphSettings
from moorage_ports.testing.activity_sync import ActivitySyncContract
from moorage_ports.testing.authorizer import AuthorizerContract
from moorage_ports.testing.direct_messages import DirectMessagesContract, MessageSendingContract
from moorage_ports.testing.directory import DirectoryContract
from moorage_ports.testing.lead_source import LeadSourceContract
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.profiles import ProfilesContract
from moorage_ports.testing.publisher import PublisherContract, SchedulingContract
from moorage_ports.testing.subscriptions import SubscriptionsContract
from moorage_ports.testing.token_vault import TokenVaultContract
from moorage_ports.testing.vendor import VendorContract
from moorage_ports.testing.webhooks import WebhookSourceContract
from tests.contract.facebook_inboxes import OnInstagram, OnMessenger, OnWhatsApp
from tests.contract.facebook_weather import FacebookSender, FacebookWeather, OnFacebook, fair_weather
from tests.fakes.asgi_http import AsgiHttp


class TestFacebookVendor(OnFacebook, VendorContract): ...


class TestFacebookAuthorizer(OnFacebook, AuthorizerContract): ...


class TestFacebookTokenVault(OnFacebook, TokenVaultContract): ...


class TestFacebookDirectory(OnFacebook, DirectoryContract): ...


class TestFacebookSubscriptions(OnFacebook, SubscriptionsContract): ...


class TestInstagramSubscriptions(OnInstagram, SubscriptionsContract): ...


class TestWhatsAppSubscriptions(OnWhatsApp, SubscriptionsContract): ...


class TestFacebookPublisher(OnFacebook, PublisherContract): ...


class TestFacebookScheduling(OnFacebook, SchedulingContract): ...


class TestFacebookLeadSource(OnFacebook, LeadSourceContract): ...


class TestFacebookActivitySync(OnFacebook, ActivitySyncContract):
    """Over the sandbox's wall."""

    @pytest.fixture
    async def world(self, http: AsgiHttp, clock: FakeClock, settings: GraphSettings) -> FacebookWeather:
        world = await fair_weather(http, clock, settings)
        await world.write_post()
        return world


class TestMessengerDirectMessages(OnMessenger, DirectMessagesContract): ...


class TestInstagramDirectMessages(OnInstagram, DirectMessagesContract): ...


class TestWhatsAppDirectMessages(OnWhatsApp, MessageSendingContract): ...


class TestMessengerProfiles(OnMessenger, ProfilesContract): ...


class TestInstagramProfiles(OnInstagram, ProfilesContract): ...


class TestFacebookWebhooks(OnFacebook, WebhookSourceContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def world(self, settings: GraphSettings) -> FacebookSender:
        app = settings.app()
        assert app is not None
        return FacebookSender(app)
