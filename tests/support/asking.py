"""Requests as the platform sends them: with a token of somebody, for an org."""

from datetime import timedelta

from moorage.auth import issue_token
from moorage_ports.operations import Role
from tests.support.harbour import Harbour


def headers_of(
    host: Harbour,
    org_id: str = "org-a",
    *,
    header: str | None = None,
    role: Role = Role.ADMIN,
    user_id: str = "user-1",
) -> dict[str, str]:
    """The headers of a caller; `header` names another org than the token does."""
    token = issue_token(
        host.services.settings.jwt,
        org_id=org_id,
        user_id=user_id,
        role=role,
        now=host.clock.now(),
        lifetime=timedelta(minutes=5),
        email="boss@a.example",
    )
    return {"authorization": f"Bearer {token}", "orgid": org_id if header is None else header}
