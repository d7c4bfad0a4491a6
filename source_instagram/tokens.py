"""Tokens that do not die: what Meta says of a token's life, and how it is extended.

A token never stands in an address here either. Instagram Login: https://developers.facebook.com/documentation/
instagram-platform/instagram-api-with-instagram-login/business-login; Facebook Login: https://developers.facebook.com/docs/
facebook-login/guides/access-tokens/get-long-lived.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pendulum
import requests
from airbyte_cdk.config_observation import create_connector_config_control_message
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets

log = logging.getLogger("airbyte.instagram")

SECRETS = ("access_token", "client_id", "client_secret")
DAY = 86_400  # seconds
SOON = 20 * DAY
TIMEOUT = (10, 30)  # seconds, to connect and to read


def extended(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The configuration with a token that lasts another 60 days; None where it lasts or cannot be extended.

    Facebook Login needs `client_id` and `client_secret`, and is extended when it ends within 20 days. Instagram Login
    tells nobody when a token ends, but extends one that is a day old at no cost, so each sync asks.
    Whatever goes wrong here is logged only: the old token may still do.
    """
    try:
        if config.get("login_type") == "instagram":
            answer = _refreshed(config)
        else:
            answer = _exchanged(config) if _ends_soon(config) else {}
    except (requests.RequestException, ValueError) as error:
        log.info("The access token was not extended (%s). This sync goes on with it.", type(error).__name__)
        return None
    token, seconds = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token or token == config["access_token"]:
        return None
    add_to_secrets(token)
    log.info("The access token was extended%s.", f" by {seconds // DAY} days" if isinstance(seconds, int) else "")
    return {**config, "access_token": token}


def control_message(config: Mapping[str, Any]) -> AirbyteMessage:
    """The protocol's message with which the platform stores the new configuration."""
    return create_connector_config_control_message(dict(config))


def warnings(config: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about a token, or its access to data, that ends within 20 days."""
    try:
        life = inspected(config)
    except (requests.RequestException, ValueError):
        return
    for key, what, remedy in (
        ("expires_at", "The access token", "Authorize the connection again before."),
        ("data_access_expires_at", "The token's access to data", "Its user must log in to the app again before."),
    ):
        end = life.get(key)
        if isinstance(end, int) and 0 < end < time.time() + SOON:
            yield f"{what} ends on {pendulum.from_timestamp(end).to_date_string()}. {remedy}"


def inspected(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `debug_token` says of the token, in seconds since 1970; nothing with Instagram Login, where it is unknown.

    The call stands inside a batch, because its parameter is the token, which must not be part of an address.
    https://developers.facebook.com/docs/graph-api/reference/debug_token
    """
    if config.get("login_type") == "instagram":
        return {}
    parameters = {"input_token": config["access_token"]}
    if config.get("client_id") and config.get("client_secret"):
        parameters["access_token"] = f"{config['client_id']}|{config['client_secret']}"  # the app asks, else its user
    batch = json.dumps([{"method": "GET", "relative_url": f"debug_token?{urlencode(parameters)}"}])
    response = requests.post("https://graph.facebook.com/", {"batch": batch}, headers=_bearer(config), timeout=TIMEOUT)
    items = response.json()
    item = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    body = json.loads(str(item.get("body") or "{}"))
    data = body.get("data") if isinstance(body, dict) else None
    return data if isinstance(data, dict) else {}


def _ends_soon(config: Mapping[str, Any]) -> bool:
    if not (config.get("client_id") and config.get("client_secret")):
        return False
    end = inspected(config).get("expires_at")
    return isinstance(end, int) and 0 < end < time.time() + SOON


def _exchanged(config: Mapping[str, Any]) -> dict[str, Any]:
    form = {
        "grant_type": "fb_exchange_token",
        "client_id": config["client_id"],
        "client_secret": config["client_secret"],
        "fb_exchange_token": config["access_token"],
    }
    return _json(requests.post("https://graph.facebook.com/oauth/access_token", form, timeout=TIMEOUT))


def _refreshed(config: Mapping[str, Any]) -> dict[str, Any]:
    url = "https://graph.instagram.com/refresh_access_token?grant_type=ig_refresh_token"
    answer = _json(requests.get(url, headers=_bearer(config), timeout=TIMEOUT))
    if "access_token" in answer or not config.get("client_secret"):
        return answer
    # A token fresh from the Authenticate button lives for an hour and is not refreshed, but exchanged.
    form = {"grant_type": "ig_exchange_token", "client_secret": config["client_secret"]}
    return _json(
        requests.post("https://graph.instagram.com/access_token", form, headers=_bearer(config), timeout=TIMEOUT)
    )


def _bearer(config: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {config['access_token']}"}


def _json(response: requests.Response) -> dict[str, Any]:
    answer = response.json()
    return answer if isinstance(answer, dict) else {}
