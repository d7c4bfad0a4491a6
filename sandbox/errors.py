"""Meta's refusals: one small constructor per error, each with the code, subcode and words that Meta uses.

https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/documentation/instagram-platform/instagram-graph-api/reference/error-codes

Texts that nobody has recorded are our own and marked so; a client should not look at those anyway, only at the codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

INSTAGRAM = "graph.instagram.com"
FACEBOOK = "graph.facebook.com"
OAUTH = "api.instagram.com"  # where Instagram Login exchanges a code

# These keep the type OAuthException on graph.instagram.com too; everything else becomes an IGApiException there.
_OAUTH_EVERYWHERE = {-1, 1, 2, 4, 17, 32, 102, 104, 190, 341, 613, *range(80000, 80015)}


@dataclass(eq=False)
class GraphError(Exception):
    """An error envelope on its way out."""

    message: str
    code: int | None = 100
    subcode: int | None = None
    status: int = 400
    type: str = "OAuthException"
    transient: bool | None = None
    title: str | None = None
    user_message: str | None = None
    data: dict[str, Any] | None = None
    path: tuple[str, ...] = ()

    def envelope(self, host: str, trace: str) -> dict[str, Any]:
        """Dress the error as the host would: graph.instagram.com drops the `(#100)` and has a type of its own."""
        if host == OAUTH:  # documented: another shape
            return {"error_type": self.type, "code": self.status, "error_message": self.message}
        message, kind = self.message, self.type
        if host == INSTAGRAM and self.code not in _OAUTH_EVERYWHERE:
            kind = "IGApiException"
            message = re.sub(r"^\(#\d+\) ", "", self.user_message if self.subcode == 2108006 else message)  # type: ignore[arg-type]
        pairs = {
            "message": message,
            "type": kind,
            "code": self.code,
            "error_data": self.data,
            "error_subcode": self.subcode,
            "is_transient": self.transient,
            "error_user_title": self.title,
            "error_user_msg": self.user_message,
            "fbtrace_id": trace,
        }
        return {"error": {key: value for key, value in pairs.items() if value is not None}}


def from_spec(spec: dict[str, Any], status: int = 400) -> GraphError:
    """Build the error that a fault describes with the API's own key names."""
    return GraphError(
        message=spec.get("message", "An unknown error has occurred."),
        code=spec.get("code", 1),
        subcode=spec.get("error_subcode"),
        status=status,
        type=spec.get("type", "OAuthException"),
        transient=spec.get("is_transient"),
        title=spec.get("error_user_title"),
        user_message=spec.get("error_user_msg"),
        data=spec.get("error_data"),
    )


# -- tokens and permissions ---------------------------------------------------------------------------------------


def token_missing() -> GraphError:
    return GraphError("An access token is required to request this resource.", 104)


def token_malformed() -> GraphError:
    return GraphError("Invalid OAuth access token - Cannot parse access token", 190)


def token_expired(since: datetime, now: datetime) -> GraphError:
    shown = [f"{moment:%A, %d-%b-%y %H:%M:%S} UTC" for moment in (since, now)]
    message = f"Error validating access token: Session has expired on {shown[0]}. The current time is {shown[1]}."
    return GraphError(message, 190, 463)


def token_revoked() -> GraphError:
    return GraphError("Error validating access token: The user has not authorized application.", 190, 458)


def token_dead(subcode: int) -> GraphError:
    """Any other 190: password changed (460), checkpoint (459), invalidated (467), … Our own words."""
    return GraphError("Error validating access token: The session has been invalidated.", 190, subcode)


def session_key_invalid() -> GraphError:
    return GraphError("Session key invalid. This could be because the session key has an incorrect format.", 452)


def token_too_young() -> GraphError:
    """Our own words: nobody has recorded Meta's."""
    return GraphError("This access token is less than 24 hours old and cannot be refreshed yet.", 100)


def client_secret_wrong() -> GraphError:
    return GraphError("Error validating client secret.", 1)


def code_invalid() -> GraphError:
    return GraphError("Invalid authorization code")  # our own words


def proof_invalid() -> GraphError:
    return GraphError("Invalid appsecret_proof provided in the API argument", 100, type="GraphMethodException")


def proof_required() -> GraphError:
    message = "API calls from the server require an appsecret_proof argument"
    return GraphError(message, 100, type="GraphMethodException")


def no_permission(status: int = 400) -> GraphError:
    return GraphError("(#10) Application does not have permission for this action", 10, status=status)


def page_permission() -> GraphError:
    """Only the family of codes is known; the words are our own."""
    message = "(#200) This endpoint requires the 'pages_read_engagement' permission to be granted"
    return GraphError(message, 200, status=403)


# -- paths, objects, fields ---------------------------------------------------------------------------------------


def unknown_object(node_id: str, method: str = "get") -> GraphError:
    message = (
        f"Unsupported {method} request. Object with ID '{node_id}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation. Please read the Graph API documentation at "
        "https://developers.facebook.com/docs/graph-api"
    )
    return GraphError(message, 100, 33, type="GraphMethodException")


def no_poll_of_story() -> GraphError:
    """That stories are refused is documented; the words are our own."""
    return GraphError("(#100) Caption add-ons are not available for stories")


def not_discovered() -> GraphError:
    """Recorded; title and explanation come in the language of the token's user."""
    return GraphError(
        "Invalid user id",
        110,
        2207013,
        transient=False,
        title="Benutzer nicht gefunden",
        user_message="Der Benutzer mit diesem Namen wurde nicht gefunden.",
    )


def no_hashtag() -> GraphError:
    """Recorded; title and explanation come in the language of the token's user."""
    return GraphError(
        "The requested resource does not exist",
        24,
        2207024,
        transient=False,
        title="Der Hashtag existiert nicht",
        user_message="Der gesuchte Hashtag ist nicht vorhanden.",
    )


def no_public_content() -> GraphError:
    return GraphError(
        "(#10) To use 'Instagram Public Content Access', your use of this endpoint must be reviewed and approved by "
        "Facebook. To submit this 'Instagram Public Content Access' feature for review please read our documentation "
        "on reviewable features: https://developers.facebook.com/docs/apps/review.",
        10,
    )


def too_many_hashtags() -> GraphError:
    """Only the code is known; the words are our own."""
    return GraphError("(#18) This account has queried the maximum of 30 unique hashtags within 7 days", 18)


def unsupported(method: str) -> GraphError:
    return GraphError(f"Unsupported request - method type: {method}")


def unknown_path(rest: str) -> GraphError:
    return GraphError(f"Unknown path components: {rest}", 2500)


def nonexisting_field(name: str) -> GraphError:
    return GraphError(f"(#100) Tried accessing nonexisting field ({name})")


def syntax(reason: str, position: int, text: str) -> GraphError:
    return GraphError(f'Syntax error "{reason}" at character {position}: {text}', 2500)


def duplicate_field(name: str, position: int, text: str) -> GraphError:
    return syntax(f"Field {name} specified more than once. This is only possible before version 2.1", position, text)


def bad_value(param: str, allowed: Iterable[str]) -> GraphError:
    return GraphError(f"(#100) {param} must be one of the following values: {', '.join(allowed)}")


def required(param: str) -> GraphError:
    """Our own words, as in the next two."""
    return GraphError(f"(#100) The parameter {param} is required")


def bad_parameter(param: str, what: str) -> GraphError:
    return GraphError(f"(#100) Param {param} must be {what}")


def bad_cursor() -> GraphError:
    return GraphError("(#100) The cursor is invalid")


def view_count_of_own_media() -> GraphError:
    """Only the code is known; the words are our own."""
    return GraphError("(#36104) The field view_count is not available for this media", 36104)


def no_video_content() -> GraphError:
    return GraphError("Video content was not found.", 9005, 1452042)


def carousel_child() -> GraphError:
    return GraphError("(#100) Field is not available for Carousel children media.")


def feature_ended(name: str) -> GraphError:
    """Only the code is known, for `ids`; the words are our own."""
    return GraphError(f"(#100) {name} is no longer supported", 100)


def batch_too_big() -> GraphError:
    message = "Too many requests in batch message. Maximum batch size is 50"
    return GraphError(message, None, type="GraphBatchException")


# -- insights -----------------------------------------------------------------------------------------------------


def metric_not_for_product(names: list[str], host: str) -> GraphError:
    if host == INSTAGRAM and len(names) == 1:
        return GraphError(f"The Media Insights API does not support the {names[0]} metric for this media product type.")
    shown = ", ".join(names)
    return GraphError(
        f"(#100) The Media Insights API does not support the {{{shown}}} metric for this media product type"
    )


def impressions_retired() -> GraphError:
    text = "the impressions metric is no longer supported for the queried media"
    return GraphError(f"(#100) Starting from version v22.0 and above, {text}")


def incompatible_breakdowns(breakdowns: str, metric: str) -> GraphError:
    return GraphError(f"(#100) Incompatible breakdowns ({breakdowns}) for metric ({metric})")


def not_on_facebook() -> GraphError:
    return GraphError("Fatal", -1, 2207086, transient=False)


def story_without_total_views() -> GraphError:
    """Code #200 was seen on a story; the words are our own."""
    return GraphError("(#200) The total_views metric is not available for this story", 200, status=403)


def before_conversion() -> GraphError:
    return GraphError(
        "Invalid parameter",
        subcode=2108006,
        transient=False,
        title="Media Posted Before Business Account Conversion",
        user_message="There are no insights for media posted before the account was last switched to business.",
        data={"blame_field_specs": [[""]]},
    )


def not_enough_viewers() -> GraphError:
    return GraphError("(#10) Not enough viewers for the media to show insights", 10)


def not_enough_users() -> GraphError:
    return GraphError(
        "Not enough users",
        subcode=2874010,
        transient=False,
        title="Demographic data isn't available",
        user_message="Audience data appears once at least 100 people are behind this metric.",
    )


def needs_total_value(names: list[str]) -> GraphError:
    return GraphError(
        f"(#100) The following metrics ({','.join(names)}) should be specified with parameter metric_type=total_value"
    )


def wrong_metric_type(name: str, metric_type: str) -> GraphError:
    return GraphError(f"(#100) The following metric ({name}) is incompatible with the metric type ({metric_type})")


def wrong_period(period: str, name: str) -> GraphError:
    return GraphError(f"(#100) The following periods ({period}) are incompatible with the metric ({name})")


def span_too_long() -> GraphError:
    return GraphError("(#100) There cannot be more than 30 days (2592000 s) between since and until")


def since_out_of_range() -> GraphError:
    return GraphError("(#100) since param is not valid. Metrics data is available for the last 2 years")


def since_after_until() -> GraphError:
    return GraphError("(#100) The parameter since must be before until")


def follower_count_too_old() -> GraphError:
    return GraphError(
        "(#100) (follower_count) metric only supports querying data for the last 30 days excluding the current day"
    )


def unknown_error() -> GraphError:
    return GraphError("An unknown error has occurred.", 1, status=500)


def invalid_parameter() -> GraphError:
    return GraphError("Invalid parameter", 100)


# -- limits -------------------------------------------------------------------------------------------------------

_THROTTLE_TEXTS = {
    4: "(#4) Application request limit reached",
    17: "(#17) User request limit reached",
    32: "(#32) Page request limit reached",
    341: "(#341) Application limit reached",
    613: "(#613) Calls to this api have exceeded the rate limit.",
    80002: "(#80002) There have been too many calls to this Instagram account. Wait a bit and try again.",
}


def throttled(code: int, status: int | None = None) -> GraphError:
    """https://developers.facebook.com/docs/graph-api/overview/rate-limiting ; live app throttles were HTTP 403."""
    message = _THROTTLE_TEXTS.get(code, f"(#{code}) There have been too many calls. Wait a bit and try again.")
    transient = True if code == 4 else None
    return GraphError(message, code, status=status or (403 if code == 4 else 400), transient=transient)


def reduce_data(where: str = "message") -> GraphError:
    text = "Please reduce the amount of data you're asking for, then retry your request"
    if where == "error_user_msg":
        return GraphError("An unknown error occurred", 1, status=500, user_message=text)
    return GraphError(text, 1, status=500)
