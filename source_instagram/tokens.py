"""Tokens that do not die: what Meta says of a token's life, and how it is extended.

A token never stands in an address here either. Instagram Login: https://developers.facebook.com/documentation/
instagram-platform/instagram-api-with-instagram-login/business-login; Facebook Login: https://developers.facebook.com/docs/
facebook-login/guides/access-tokens/get-long-lived.
"""

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TypeGuard
from urllib.parse import quote, urlencode

import requests
from airbyte_cdk.config_observation import emit_configuration_as_airbyte_control_message
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets, filter_secrets, update_secrets

from source_instagram.answers import parsed, reply_of
from source_instagram.times import at

log = logging.getLogger("airbyte.instagram")

Config = Mapping[str, Any]

SECRETS = ("access_token", "client_id", "client_secret")
DAY = 86_400  # seconds
SOON = 20 * DAY
SHORTEST = 8  # characters of a text that can be a secret
TIMEOUT = (5, 15)  # seconds, to connect and to read
FACEBOOK_REMEDY = (
    "The next sync tries again. If it stays so, check client_id and client_secret, or authorize the connection again "
    "before that day."
)
INSTAGRAM_REMEDY = (
    "This is so on the first day of a token; the next sync tries again. If it stays so, authorize the connection again."
)


class Refused(Exception):  # noqa: N818 - says what happened
    """Meta, or what stands between, did not do what was asked. The message is a sentence without secrets."""

    def __init__(self, message: str, code: Any = None) -> None:
        """Say why, with Meta's code where it was Meta who refused."""
        super().__init__(message)
        self.code = code


def can_travel(secret: str) -> bool:
    """Whether a text fits into a header, as a token must. What else it has to look like is Meta's to say.

    Quotation marks and backslashes would fit, but are written differently in a line of the log, and so be seen there.
    """
    return bool(re.fullmatch(r"[!#-\[\]-~]+", secret))


def hide(config: Config) -> None:
    """Have the CDK keep secrets and what is made of them out of its log lines.

    No text so short, though, that it is a part of any line: the CDK hides whatever stands in the place of a secret, and
    with `e` as client_id no line would be JSON any more.
    """
    secrets = [str(secret) for secret in map(config.get, SECRETS) if secret]
    if any(len(secret) < SHORTEST for secret in secrets):
        update_secrets([])
    token, key = str(config.get("access_token") or ""), str(config.get("client_secret") or "")
    # A line break is written otherwise where the CDK shows a whole configuration.
    escaped = [form for secret in secrets for form in (repr(secret)[1:-1], json.dumps(secret)[1:-1])]
    made = quote(token, safe="", errors="replace"), signature(key, token) if key else ""
    for secret in (*secrets, *escaped, *made):
        if len(secret) >= SHORTEST and secret in filter_secrets(secret):
            add_to_secrets(secret)


def renew(config: MutableMapping[str, Any], *, is_check: bool = False) -> None:
    """Look after the token of a configuration that all components share: from now on they send the new one, if any.

    It is printed for the platform to store, as the CDK's own authenticators do with theirs, whichever command runs. A
    check also tells of what ends soon.
    """
    life = inspected(config) if is_check else None
    new = extended(config, life)
    if new:
        config["access_token"] = new["access_token"]
        hide(config)
        emit_configuration_as_airbyte_control_message({key: new[key] for key in new if not key.startswith("__")})
    for warning in warnings(life or {}, extended=new is not None):
        log.warning("%s", warning)


def extended(config: Config, life: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The configuration with a token that lasts another 60 days; None where it lasts or cannot be extended.

    Facebook Login needs `client_id` and `client_secret`, and is extended when it ends within 20 days. Instagram Login
    tells nobody when a token ends, but extends one that is a day old at no cost, so each command asks. `life` is what
    `inspected` gave, where it was asked. The new token has been tried: it takes the place of the old one for good.
    Whatever goes wrong here is a warning only: the old token may still do.
    """
    is_instagram = config.get("login_type") == "instagram"
    if not is_instagram and not (config.get("client_id") and config.get("client_secret")):
        return None
    end = None if is_instagram else (inspected(config) if life is None else life).get("expires_at")
    if not is_instagram and not is_soon(end):
        return None
    try:
        answer = _renewed(config) if is_instagram else exchanged(config)
        new = {**config, "access_token": answer.get("access_token")}
        if new["access_token"] == config["access_token"]:
            return None
        _try(new)
    except Refused as refusal:
        ends = f" ends on {at(end).date()} and" if end else ""
        remedy = INSTAGRAM_REMEDY if is_instagram else FACEBOOK_REMEDY
        log.warning("The access token%s was not extended. %s %s", ends, refusal, remedy)
        return None
    seconds = answer.get("expires_in")
    log.info("The access token was extended%s.", f" by {seconds // DAY} days" if isinstance(seconds, int) else "")
    return new


def warnings(life: Mapping[str, Any], *, extended: bool) -> Iterator[str]:
    """Sentences about a token that was not extended, or its access to data, that ends within 20 days."""
    if is_soon(life.get("expires_at")) and not extended:
        yield f"The access token ends on {at(life['expires_at']).date()}. Authorize the connection again before."
    if is_soon(life.get("data_access_expires_at")):
        end = at(life["data_access_expires_at"]).date()
        yield f"The token's access to data ends on {end}. Its user must log in to the app again before."


def is_soon(end: Any) -> TypeGuard[int]:
    """Whether a time lies within the next 20 days; 0 is never."""
    return isinstance(end, int) and 0 < end < time.time() + SOON


def inspected(config: Config) -> Mapping[str, Any]:
    """What `debug_token` says of the token, times as unix seconds; nothing with Instagram Login, which tells none."""
    if config.get("login_type") == "instagram":
        return {}
    try:
        return inspection(config)
    except Refused as refusal:
        log.warning("When the access token ends is not known. %s", refusal)
        return {}


def inspection(config: Config) -> Mapping[str, Any]:
    """The same, asked of Meta: in a batch, because its parameter is the token, which must not be part of an address.

    https://developers.facebook.com/docs/graph-api/reference/debug_token

    Raises:
        Refused: Meta does not say.
    """
    parameters = {"input_token": config["access_token"]}
    if config.get("client_id") and config.get("client_secret"):
        asks = f"{config['client_id']}|{config['client_secret']}"  # the app asks, else its user
        parameters |= {"access_token": asks, **proof(config, asks)}
    batch = json.dumps([{"method": "GET", "relative_url": f"debug_token?{urlencode(parameters)}"}])
    form = {"batch": batch, **proof(config, config["access_token"])}
    items = _asked("POST", "https://graph.facebook.com/", config, form)
    item = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    data = _object(_data(str(item.get("body")), config)).get("data")
    return data if isinstance(data, dict) else {}


def proof(config: Config, token: str) -> dict[str, str]:
    """The appsecret_proof parameter: https://developers.facebook.com/docs/graph-api/guides/secure-requests."""
    if not config.get("client_secret") or config.get("login_type") == "instagram":
        return {}
    return {"appsecret_proof": signature(config["client_secret"], token)}


def signature(secret: str, token: str) -> str:
    """A token, signed with the secret of its app."""
    return hmac.new(secret.encode(errors="replace"), token.encode(errors="replace"), hashlib.sha256).hexdigest()


def exchanged(config: Config) -> dict[str, Any]:
    """What Meta gives for a token and the secret of its app: one that lives for 60 days.

    Raises:
        Refused: it gives none.
    """
    if config.get("login_type") == "instagram":
        form = {"grant_type": "ig_exchange_token", "client_secret": config["client_secret"]}
        return _object(_asked("POST", "https://graph.instagram.com/access_token", config, form))
    form = {
        "grant_type": "fb_exchange_token",
        "client_id": config["client_id"],
        "client_secret": config["client_secret"],
        "fb_exchange_token": config["access_token"],
        **proof(config, config["access_token"]),
    }
    return _object(_asked("POST", "https://graph.facebook.com/oauth/access_token", config, form, bearer=False))


def refreshed(config: Config) -> dict[str, Any]:
    """What Meta gives for a token of Instagram Login that is a day old.

    Raises:
        Refused: it gives none.
    """
    url = "https://graph.instagram.com/refresh_access_token?grant_type=ig_refresh_token"
    return _object(_asked("GET", url, config))


def redeemed(config: Config, code: str, redirect_uri: str) -> Any:
    """What Meta gives for the code of Instagram Login's dialog, as the platform's Authenticate button asks for it.

    Raises:
        Refused: it gives nothing.
    """
    form = {
        "grant_type": "authorization_code",
        "client_id": config["client_id"],
        "client_secret": config["client_secret"],
        "redirect_uri": redirect_uri,
        "code": code,
    }
    return _asked("POST", "https://api.instagram.com/oauth/access_token", config, form, bearer=False)


def _renewed(config: Config) -> dict[str, Any]:
    try:
        return refreshed(config)
    except Refused as refusal:
        if not config.get("client_secret"):
            raise
        # A token fresh from the Authenticate button lives for an hour and is not refreshed, but exchanged.
        try:
            return exchanged(config)
        except Refused as second:
            raise Refused(f"{refusal} {second}") from None


def _try(config: Config) -> None:
    """Make one cheap call with a new token.

    Raises:
        Refused: it is none that reads anything.
    """
    token = config["access_token"]
    if not isinstance(token, str) or not can_travel(token):
        raise Refused("What Meta gave in its place is no token.")
    add_to_secrets(token)
    host = "graph.instagram.com" if config.get("login_type") == "instagram" else "graph.facebook.com"
    query = urlencode({"fields": "id", **proof(config, token)})
    try:
        _asked("GET", f"https://{host}/me?{query}", config)
    except Refused as refusal:
        raise Refused(f"Meta gave a new one that does not work. {refusal}") from None


def _asked(method: str, url: str, config: Config, form: dict[str, str] | None = None, *, bearer: bool = True) -> Any:
    """Meta's answer, an object or the list of a batch.

    Raises:
        Refused: there is none.
    """
    headers = {"Authorization": f"Bearer {config['access_token']}"} if bearer else {}
    try:
        response = requests.request(method, url, data=form, headers=headers, timeout=TIMEOUT)
    except requests.RequestException as error:  # by its kind only: its words would repeat what was sent
        raise Refused(f"The request broke ({type(error).__name__}).") from None
    return _data(reply_of(response).text, config)


def _object(answer: Any) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {}


def _data(text: str, config: Config) -> Any:
    """A body as JSON, an object or a list.

    Raises:
        Refused: it is an error, in Meta's words, or something else.
    """
    try:
        body = parsed(text)
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    if error:
        told = error if isinstance(error, dict) else {"message": error}
        raise Refused(f"Meta says: {clean(str(told.get('message')), config)}", told.get("code"))
    if not isinstance(body, (dict, list)):
        raise Refused("Meta's answer was not JSON.")
    return body


def clean(words: str, config: Config) -> str:
    """Someone else's words as a sentence, without the token and the secret, on one line."""
    for secret in (config["access_token"], config.get("client_secret") or ""):
        for form in (secret, quote(secret, safe="")) if len(secret) >= SHORTEST else ():
            words = words.replace(form, "****")
    words = " ".join(words.split())[:500]
    return words if words.endswith((".", "!", "?")) else f"{words}."
