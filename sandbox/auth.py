"""Tokens, permissions, `appsecret_proof` and the OAuth end points of both hosts.

https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
https://developers.facebook.com/docs/graph-api/guides/secure-requests
https://developers.facebook.com/documentation/instagram-platform/instagram-api-with-instagram-login/business-login
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox import errors
from sandbox.errors import FACEBOOK, INSTAGRAM, OAUTH
from sandbox.figures import number
from sandbox.nodes import Account, Page
from sandbox.world import World

FACEBOOK_SCOPES = (
    "instagram_basic",
    "instagram_manage_insights",
    "instagram_manage_comments",
    "pages_show_list",
    "pages_read_engagement",
)
INSTAGRAM_SCOPES = (
    "instagram_business_basic",
    "instagram_business_manage_insights",
    "instagram_business_manage_comments",
)
LONG_LIVED = timedelta(days=60)
DATA_ACCESS = timedelta(days=90)


@dataclass
class Token:
    """An access token and what it may do. `dead` is the 190 subcode that it answers with, if any."""

    text: str
    host: str
    scopes: tuple[str, ...]
    issued: datetime
    expires: datetime | None
    data_access_expires: datetime
    account: Account | None = None  # the only account it reaches; None reaches all
    page: Page | None = None
    dead: int | None = None
    long_lived: bool = True
    declined: tuple[str, ...] = ()
    only_me: bool = False  # its account answers as /me and by no id; seen on graph.instagram.com


class Tokens:
    """The tokens that this world has given out, and the app that they belong to."""

    def __init__(self, world: World, *, require_proof: bool = False) -> None:
        self.world = world
        self.require_proof = require_proof
        self.app_id = str(1_122_334_455_000_000 + world.seed)
        self.app_secret = hashlib.sha256(f"app secret {world.seed}".encode()).hexdigest()[:32]
        self.code = f"AQSandbox{number(world.seed, 'code'):016x}"
        self._redeemed = False
        self.known: dict[str, Token] = {}
        self.user = self.mint().text
        self.instagram = self.mint(host=INSTAGRAM).text
        self._page_tokens: dict[str, str] = {}

    def mint(  # noqa: PLR0913 - all that a test may want to be different about a token
        self,
        host: str = FACEBOOK,
        scopes: Iterable[str] | None = None,
        *,
        account: Account | None = None,
        page: Page | None = None,
        age: timedelta = timedelta(days=2),
        lifetime: timedelta | None = LONG_LIVED,
        data_access: timedelta | None = None,
        dead: int | None = None,
        long_lived: bool = True,
        declined: Iterable[str] = (),
        only_me: bool | None = None,
        text: str | None = None,
    ) -> Token:
        """Give out a token. `lifetime` counts from its issue, None never ends; `dead` makes it answer 190/`dead`.

        `data_access` counts from its issue, too. What was `declined` is told by /me/permissions and missing elsewhere.
        """
        prefix = "IGAA" if host == INSTAGRAM else "EAA"
        issued = self.world.now() - age
        h = f"{number(self.world.seed, 'token', len(self.known)):016x}"
        if scopes is None:
            scopes = INSTAGRAM_SCOPES if host == INSTAGRAM else FACEBOOK_SCOPES
        token = Token(
            text=text or f"{prefix}Sandbox{h}{len(self.known)}ZD",
            host=host,
            scopes=tuple(scope for scope in scopes if scope not in declined),
            issued=issued,
            expires=None if lifetime is None else issued + lifetime,
            data_access_expires=issued + (DATA_ACCESS if data_access is None else data_access),
            account=account or (self.world.accounts[0] if host == INSTAGRAM and self.world.accounts else None),
            page=page,
            dead=dead,
            long_lived=long_lived,
            declined=tuple(declined),
            only_me=self.world.options.only_me and host == INSTAGRAM if only_me is None else only_me,
        )
        self.known[token.text] = token
        return token

    def may(self, token: Token, permission: str) -> bool:
        """Whether a token carries a permission, named as Facebook Login names it, and its access to data lasts."""
        scope = permission.replace("instagram_", "instagram_business_") if token.host == INSTAGRAM else permission
        return scope in token.scopes and not self._has_lapsed(token, scope)

    def permissions(self, token: Token) -> list[dict[str, str]]:
        """What /me/permissions tells."""
        told = {scope: "expired" if self._has_lapsed(token, scope) else "granted" for scope in token.scopes}
        told |= dict.fromkeys(token.declined, "declined")
        return [{"permission": scope, "status": status} for scope, status in told.items()]

    def _has_lapsed(self, token: Token, scope: str) -> bool:
        """Access to data ends 90 days after a person last used the app; Pages and portfolios are documented exempt."""
        return scope.startswith("instagram_") and token.data_access_expires <= self.world.now()

    def of_page(self, page: Page) -> str:
        """The Page token that /me/accounts hands out."""
        if page.id not in self._page_tokens:
            # An account stands for the Page even where it has no Instagram: such a token then reaches nobody's.
            self._page_tokens[page.id] = self.mint(account=page.account, page=page, lifetime=None).text
        return self._page_tokens[page.id]

    def check(self, host: str, params: dict[str, str], text: str | None) -> Token:
        """The token of a call, or the refusal that Meta gives for it."""
        if not text:
            raise errors.token_missing()
        token = self.known.get(text)
        if token is None or token.host != host:
            raise errors.token_malformed()
        if token.dead == 458:
            raise errors.token_revoked()
        if token.dead and token.dead != 463:
            raise errors.token_dead(token.dead)
        now = self.world.now()
        if token.dead == 463 or (token.expires and token.expires <= now):
            raise errors.token_expired(min(token.expires or now, now), now)
        self._check_proof(host, params.get("appsecret_proof"), text)
        return token

    def _check_proof(self, host: str, proof: str | None, text: str) -> None:
        if proof is None:
            if self.require_proof and host == FACEBOOK:
                raise errors.proof_required()
        elif host == INSTAGRAM or not hmac.compare_digest(proof.encode(), self.proof(text).encode()):
            raise errors.proof_invalid()

    def proof(self, text: str) -> str:
        """appsecret_proof = hex(HMAC_SHA256(key=app_secret, message=access_token))."""
        return hmac.new(self.app_secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    # -- end points that need no ordinary token ---------------------------------------------------------------------

    def answer(self, host: str, path: str, params: dict[str, str], text: str | None) -> dict[str, Any] | None:
        """Answer an OAuth end point; None when the path is none."""
        if host == FACEBOOK and path == "oauth/access_token":
            return self._exchange(params)
        if host == OAUTH:
            return self._redeem(path, params)
        if path == "debug_token":
            return self._debug(host, params, text)
        if host == INSTAGRAM and path in ("refresh_access_token", "access_token"):
            return self._instagram(path, params, text)
        return None

    def _exchange(self, params: dict[str, str]) -> dict[str, Any]:
        if (params.get("client_id"), params.get("client_secret")) != (self.app_id, self.app_secret):
            raise errors.client_secret_wrong()
        if params.get("grant_type") == "client_credentials":
            return {"access_token": f"{self.app_id}|{self.app_secret}", "token_type": "bearer"}
        old = self.check(FACEBOOK, {"appsecret_proof": self.proof(params.get("fb_exchange_token", ""))},
                         params.get("fb_exchange_token"))  # fmt: skip
        return self._renewed(old)

    def _redeem(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        """A token of an hour for a code: flat, as clients meet it; documented, and once recorded, in data[]."""
        if path != "oauth/access_token":
            raise errors.unknown_path(f"/{path}")
        if (params.get("client_id"), params.get("client_secret")) != (self.app_id, self.app_secret):
            raise errors.client_secret_wrong()
        if params.get("grant_type") != "authorization_code" or params.get("code") != self.code or self._redeemed:
            raise errors.code_invalid()
        self._redeemed = True
        token = self.mint(INSTAGRAM, age=timedelta(0), lifetime=timedelta(hours=1), long_lived=False)
        user = int(token.account.id) if token.account else 0
        return {"access_token": token.text, "user_id": user, "permissions": [*token.scopes]}

    def _instagram(self, path: str, params: dict[str, str], text: str | None) -> dict[str, Any]:
        token = self.check(INSTAGRAM, params, text)
        if path == "access_token":
            if params.get("grant_type") != "ig_exchange_token":
                raise errors.bad_value("grant_type", ["ig_exchange_token"])
            if params.get("client_secret") != self.app_secret:
                raise errors.client_secret_wrong()
            if token.long_lived:  # measured: those from the App Dashboard are long-lived already and are refused here
                raise errors.session_key_invalid()
            return self._renewed(token)
        if params.get("grant_type") != "ig_refresh_token":
            raise errors.bad_value("grant_type", ["ig_refresh_token"])
        if not self.may(token, "instagram_basic"):
            raise errors.no_permission()
        if self.world.now() - token.issued < timedelta(hours=24):
            raise errors.token_too_young()
        return {**self._renewed(token), "permissions": ",".join(token.scopes)}

    def _renewed(self, old: Token) -> dict[str, Any]:
        new = self.mint(
            old.host,
            old.scopes,
            account=old.account,
            age=timedelta(0),
            data_access=old.data_access_expires - self.world.now(),  # only its person renews that
            declined=old.declined,
            only_me=old.only_me,
        )
        return {"access_token": new.text, "token_type": "bearer", "expires_in": int(LONG_LIVED.total_seconds())}

    def _debug(self, host: str, params: dict[str, str], text: str | None) -> dict[str, Any]:
        is_app = text == f"{self.app_id}|{self.app_secret}"
        if host == INSTAGRAM and not is_app:
            raise errors.no_permission(403)
        if not is_app:
            self.check(host, params, text)
        token = self.known.get(params.get("input_token", ""))
        if token is None:
            problem = {"code": 190, "message": "Invalid OAuth access token."}
            return {"data": {"error": problem, "is_valid": False, "scopes": []}}
        data: dict[str, Any] = {
            "app_id": self.app_id,
            "application": "Instagram sandbox",
            "type": "PAGE" if token.page else "USER",
            "is_valid": True,
            "expires_at": int(token.expires.timestamp()) if token.expires else 0,
            "data_access_expires_at": int(token.data_access_expires.timestamp()),
            "issued_at": int(token.issued.timestamp()),
            "scopes": list(token.scopes),
            "granular_scopes": [{"scope": scope, "target_ids": self._targets(scope)} for scope in token.scopes],
            "user_id": self.world.user.id,
        }
        try:
            self.check(
                token.host, {"appsecret_proof": self.proof(token.text)} if token.host == FACEBOOK else {}, token.text
            )
        except errors.GraphError as error:
            data |= {"is_valid": False, "error": {"code": 190, "message": error.message, "subcode": error.subcode}}
        return {"data": data}

    def _targets(self, scope: str) -> list[str]:
        if scope.startswith("pages_"):
            return [page.id for page in self.world.pages]
        return [account.id for account in self.world.accounts]
