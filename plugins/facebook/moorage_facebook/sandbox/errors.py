"""Graph's error envelope and the errors the sandbox answers with.

https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs

from moorage_facebook.sandbox.jsontext import Json


@attrs.frozen(kw_only=True)
class GraphFailure:
    """What goes into the envelope, and the HTTP status it travels with."""

    message: str
    code: int
    subcode: int | None = None
    type: str = "OAuthException"
    status: int = 400
    title: str = ""
    user_message: str = ""
    transient: bool | None = None
    data: Mapping[str, Json] | None = None

    def body(self, trace_id: str) -> Json:
        """`{"error": {...}}`; optional members only when there is something in them."""
        error: dict[str, Json] = {"message": self.message, "type": self.type, "code": self.code}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.transient is not None:
            error["is_transient"] = self.transient
        if self.data is not None:
            error["error_data"] = self.data
        if self.title:
            error["error_user_title"] = self.title
        if self.user_message:
            error["error_user_msg"] = self.user_message
        error["fbtrace_id"] = trace_id
        return {"error": error}


class GraphError(Exception):
    """A call that Graph refuses; `failure` is what the caller is told."""

    def __init__(self, failure: GraphFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def new_trace_id() -> str:
    """A fresh `fbtrace_id`."""
    return "A" + secrets.token_urlsafe(16)


def invalid(
    message: str, *, subcode: int | None = None, title: str = "", user_message: str = ""
) -> GraphError:
    """100: a parameter is wrong."""
    text = f"(#100) {message}"
    return GraphError(
        GraphFailure(message=text, code=100, subcode=subcode, title=title, user_message=user_message)
    )


def not_found(method: str, node_id: str) -> GraphError:
    """100/33: gone, never there, or hidden from this token. Graph does not say which."""
    message = (
        f"Unsupported {method.lower()} request. Object with ID '{node_id}' does not exist, cannot be loaded "
        "due to missing permissions, or does not support this operation. Please read the Graph API "
        "documentation at "
        "https://developers.facebook.com/docs/graph-api"
    )
    return GraphError(GraphFailure(message=message, code=100, subcode=33, type="GraphMethodException"))


def too_much() -> GraphError:
    """1, with HTTP 500: the lists within the list are more than Graph collects at once."""
    message = "Please reduce the amount of data you're asking for, then retry your request"
    return GraphError(GraphFailure(message=message, code=1, status=500))


def unknown_path(path: str) -> GraphError:
    """2500: the path has a component that Graph does not know."""
    return GraphError(GraphFailure(message=f"Unknown path components: /{path}", code=2500))


def bad_query(message: str) -> GraphError:
    """2500: `fields` does not parse."""
    return GraphError(GraphFailure(message=message, code=2500))


def no_token(*, needs_user: bool = False) -> GraphError:
    """2500 for `me`, 104 for everything else."""
    if needs_user:
        message = "An active access token must be used to query information about the current user."
        return GraphError(GraphFailure(message=message, code=2500))
    return GraphError(GraphFailure(message="An access token is required to request this resource.", code=104))


def bad_token() -> GraphError:
    """190 without a subcode: nobody ever issued this string."""
    message = "Invalid OAuth access token - Cannot parse access token"
    return GraphError(GraphFailure(message=message, code=190))


def expired_token(expired_at: int, now: int) -> GraphError:
    """190/463, with HTTP 401 as Graph has sent it since 2024."""
    message = (
        f"Error validating access token: Session has expired on {_wordy(expired_at)}. "
        f"The current time is {_wordy(now)}."
    )
    return GraphError(GraphFailure(message=message, code=190, subcode=463, status=401))


def app_removed(user_id: str, app_id: str) -> GraphError:
    """190/458: the person removed the app."""
    message = (
        f"Error validating access token: The user has not authorized application {app_id} (user {user_id})."
    )
    return GraphError(GraphFailure(message=message, code=190, subcode=458))


def session_invalidated() -> GraphError:
    """190/467: a token from before the app was removed and added again."""
    message = "Error validating access token: The session has been invalidated because the user logged out."
    return GraphError(GraphFailure(message=message, code=190, subcode=467))


def role_lost() -> GraphError:
    """190/492: the person behind this Page token has no role on the Page any more."""
    message = (
        "Error validating access token: The user must be an administrator, editor, or moderator of the page."
    )
    return GraphError(GraphFailure(message=message, code=190, subcode=492))


def data_access_expired() -> GraphError:
    """190: ninety days without the person; the token's own date may lie ahead."""
    message = "Error validating access token: The user's data access has expired. The user must reauthorize."
    return GraphError(GraphFailure(message=message, code=190))


def bad_proof() -> GraphError:
    """100: `appsecret_proof` is wrong or too old."""
    message = "Invalid appsecret_proof provided in the API argument"
    return GraphError(GraphFailure(message=message, code=100, type="GraphMethodException"))


def proof_required() -> GraphError:
    """100: "Require App Secret" is on."""
    message = "API calls from the server require an appsecret_proof argument"
    return GraphError(GraphFailure(message=message, code=100, type="GraphMethodException"))


def missing_permission(method: str, scopes: tuple[str, ...]) -> GraphError:
    """10 for reads, 200 for writes."""
    names = " and ".join(scopes)
    if method == "GET":
        message = (
            f"(#10) This endpoint requires the '{names}' permission or the "
            "'Page Public Content Access' feature. Refer to "
            "https://developers.facebook.com/docs/apps/review/login-permissions for details."
        )
        return GraphError(GraphFailure(message=message, code=10))
    message = f"(#200) The permission(s) {names} are not available. They have not been granted."
    return GraphError(GraphFailure(message=message, code=200))


def page_token_required() -> GraphError:
    """210: a person's token where a Page's is needed."""
    message = "(#210) A page access token is required to request this resource."
    return GraphError(GraphFailure(message=message, code=210))


def app_token_required() -> GraphError:
    """15: only the app itself may do this."""
    message = "(#15) This method must be called with an app access_token."
    return GraphError(GraphFailure(message=message, code=15))


def _wordy(unix: int) -> str:
    moment = datetime.fromtimestamp(unix, UTC)
    return moment.strftime("%A, %d-%b-%y %H:%M:%S UTC")
