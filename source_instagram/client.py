"""How the calls of a stream are sent and judged, and what an error says to people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from source_instagram.answers import THE_TOKEN, GraphError, Reply, Rules, failure
from source_instagram.calls import GraphCall

Send = Callable[["list[GraphCall]"], "list[Reply | None]"]


@dataclass(frozen=True)
class Client:
    """How the calls of a stream are sent and judged, and for which account (None for what is about the token)."""

    send: Send
    rules: Rules
    permissions: Mapping[str, str]  # by edge, "*" for all others
    account: str | None
    stream: str

    @property
    def place(self) -> tuple[str, str | None]:
        """What fails together when a part of Meta's service is down."""
        return self.stream, self.account

    def permission(self, edge: str) -> str:
        """The permission that an edge needs."""
        return self.permissions.get(edge) or self.permissions.get("*", "")

    def failure(self, call: GraphCall) -> GraphError:
        """The error for a call that ended without its answer, with the missing permission by its name."""
        verdict = call.outcome
        assert verdict is not None  # noqa: S101 - the caller has just seen it
        if verdict.closed_by:
            return verdict.closed_by.again()
        because = verdict.because.replace("{permission}", self.permission(call.path.rpartition("/")[2]))
        # A dead token is nobody's in particular, so that it is told in one sentence.
        return failure(replace(verdict, because=because), THE_TOKEN if verdict.then == "fail_sync" else call.subject)
