"""The official SDK, pointed at a sandbox by the one address that it keeps in its session."""

from collections.abc import Iterator
from contextlib import contextmanager

from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

from tests.oracles.sandbox import ServedSandbox


@contextmanager
def official_sdk(
    sandbox: ServedSandbox, token: str, *, app_secret: str | None = ""
) -> Iterator[FacebookAdsApi]:
    """An API object of the SDK's; `app_secret` is the sandbox's own unless another (or none) is given."""
    secret = sandbox.app_secret if app_secret == "" else app_secret
    session = FacebookSession(app_id=sandbox.app_id, app_secret=secret, access_token=token, timeout=10)
    session.GRAPH = sandbox.url
    with session.requests:
        yield FacebookAdsApi(session)
