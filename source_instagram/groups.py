"""`source-instagram groups`: deals the accounts of a token out to connections or tasks that cost about the same.

A group is what a configuration has beside the token: `{"accounts": ["1784…"]}`. To know the sizes costs one call for
100 Pages, and one for each account that none of them shows. See docs/scaling.md.
"""

import argparse
import io
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import chain, count
from pathlib import Path
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.airbyte_secrets_utils import filter_secrets
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram.accounts import SIZED, found, name_of, wanted
from source_instagram.answers import number
from source_instagram.calls import GraphCall
from source_instagram.client import Client
from source_instagram.requester import GraphRequester
from source_instagram.session import SyncSession
from source_instagram.source import SourceInstagram
from source_instagram.times import moment, now

log = logging.getLogger("airbyte.instagram")

HISTORY = 729  # days of insights that Meta keeps
# Graph calls of a first sync of all streams; unit_tests/test_groups.py holds them to docs/generate.py.
OF_ACCOUNT, OF_DAY, OF_MEDIA = 40, 4.1, 2
FAILED, PASSES = 1, 75  # exit codes: something is to be changed; trying again later is enough, as in sysexits.h


class NoDeal(Exception):  # noqa: N818 - a sentence for whoever asked
    """Why the accounts cannot be dealt out like this."""


class Line(logging.Formatter):
    """A line for people, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """As the CDK's own lines of JSON are written."""
        return filter_secrets(super().format(record))


def run(arguments: Sequence[str], read: Callable[[str], dict[str, Any]]) -> int:
    """Print the groups, or say on stderr why there are none; `read` gives the configuration. Gives the exit code."""
    given = parser().parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        files = sorted(given.out.glob("group_*.json")) if given.out else []
        with redirect_stdout(io.StringIO()):  # where a wait is told as the protocol has it; stderr says the same
            costs = sizes(read(given.config))
        groups = dealt(costs, given.groups, [group_in(file) for file in files])
        if given.out:
            write(groups, given.out, files)
    except NoDeal as error:
        return said(error, FAILED)
    except OSError as error:
        return said(f"{error.filename} cannot be read or written: {error.strerror}.", FAILED)
    except AirbyteTracedException as error:
        return said(error.message, PASSES if error.failure_type == FailureType.transient_error else FAILED)
    print("[\n " + ",\n ".join(map(json.dumps, groups)) + "\n]")  # noqa: T201 - a command's answer
    return 0


def said(why: Any, code: int) -> int:
    """The exit code, once its reason is said."""
    print(filter_secrets(str(why)), file=sys.stderr)  # noqa: T201
    return code


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    root = argparse.ArgumentParser(prog="source-instagram groups", description=(__doc__ or "").partition("\n\n")[0])
    root.add_argument("--config", required=True, metavar="FILE", help="the configuration with the token")
    root.add_argument("--groups", required=True, type=int, metavar="N", help="how many groups")
    root.add_argument(
        "--out", type=Path, metavar="DIR",
        help="write a file for each group, with its accounts and no token; accounts stay in the groups that are there",
    )  # fmt: skip
    return root


def group_in(file: Path) -> list[str]:
    """The accounts of a group that was written before."""
    try:
        return [str(name) for name in json.loads(file.read_text(encoding="utf-8"))["accounts"]]
    except (ValueError, KeyError, TypeError):
        raise NoDeal(f"{file} is no group of accounts. Delete or mend it.") from None


def write(groups: Iterable[Mapping[str, Any]], folder: Path, files: Sequence[Path]) -> None:
    """A file for each group, with what its configuration has beside the token; groups keep the files that they have."""
    folder.mkdir(parents=True, exist_ok=True)
    free = (file for at in count(1) if (file := folder / f"group_{at:03}.json") not in files)
    for group, file in zip(groups, chain(files, free)):  # noqa: B905 - there are always more free ones
        file.write_text(json.dumps({"accounts": group["accounts"]}) + "\n", encoding="utf-8")


# -- Sizes -------------------------------------------------------------------------------------------------------------


def sizes(config: dict[str, Any]) -> dict[str, int]:
    """The Graph calls of a first sync of each account, by its id.

    Raises:
        AirbyteTracedException: the accounts cannot be told.
    """
    _source, whole = SourceInstagram.ready(config)  # which lives as long as its session is needed
    media = counted(SyncSession.of(whole), wanted(whole))
    start = whole.get("start_date")
    days = min((now() - moment(start)).days, HISTORY) if start else HISTORY
    return {name: calls_of(many, days) for name, many in media.items()}


def calls_of(media: int, days: int) -> int:
    """What a first sync of an account costs, as far as its size tells: 3,229 with 100 media and two years of days."""
    return round(OF_ACCOUNT + OF_DAY * days + OF_MEDIA * media)


def counted(session: SyncSession, named: list[str]) -> dict[str, int]:
    """How many media each account has, which the list of Pages tells.

    Raises:
        GraphError: an account that the configuration names cannot be found, or there is none.
    """
    listing, media = session.lists["accounts"], dict[str, int]()
    assert isinstance(listing.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
    requester = listing.requester
    requester.facebook_fields = [name for name in requester.facebook_fields if "{" not in name] + [SIZED]
    requester.instagram_fields = [*requester.instagram_fields, "media_count"]
    requester.hints = [*requester.hints, "media_count"]
    accounts, missing = found(session, noted(listing.read_records({}, None), media), named, requester.client())
    for error in missing.values():
        raise error
    names = {each["business_account_id"]: name_of(each) for each in accounts}
    ask_for(session, {name: names[name] for name in names.keys() - media.keys()}, media, requester.client())
    return {name: media.get(name, 0) for name in names}


def noted(pages: Iterable[Any], media: dict[str, int]) -> Iterator[Any]:
    """The pages of the list, whose counts of media are noted on the way."""
    for page in pages:
        rows = page.get("data", [page]) if isinstance(page, Mapping) else []
        for row in rows:
            account = row.get("instagram_business_account") or row
            many = number(account.get("media_count")) if isinstance(account, Mapping) else None
            if many is not None:
                media[str(row.get("user_id") or account.get("id"))] = many
        yield page


def ask_for(session: SyncSession, names: Mapping[str, str], media: dict[str, int], client: Client) -> None:
    """Ask for the counts that the list did not tell, together."""
    calls = [GraphCall(name, {"fields": "media_count"}, subject=f"account {names[name]}") for name in sorted(names)]
    session.executor.run_all(calls, client)
    for call in calls:
        many = number((call.answer or {}).get("media_count"))
        if many is not None:
            media[call.path] = many
        else:
            log.warning("%s: Meta does not tell how many media it has, so it counts as if it had none.", call.subject)


# -- Dealing -----------------------------------------------------------------------------------------------------------


def dealt(costs: Mapping[str, int], number: int, before: Sequence[Sequence[str]] = ()) -> list[dict[str, Any]]:
    """The accounts in so many groups: the dearest first, each to the group that is cheapest by then.

    An account stays in the group that it was in, because its state does. The same accounts always make the same groups.

    Before: {"1784…1": 900, "1784…2": 500, "1784…3": 300}, in two groups
    After:  {"accounts": ["1784…1"], "estimated_calls": 900}, {"accounts": ["1784…2", "1784…3"], "estimated_calls": 800}

    Raises:
        NoDeal: there are not as many accounts, or more groups already.
    """
    if number < max(len(before), 1):
        raise NoDeal(
            f"There are {len(before)} groups already, which are not made fewer: an account that moves is read from its "
            "beginning again. Ask for as many, or name another folder."
            if before
            else "Ask for one group or more."
        )
    if number > len(costs):
        raise NoDeal(f"The access token reaches {len(costs)} accounts, too few for {number} groups. Ask for fewer.")
    groups = [[name for name in group if name in costs] for group in before]
    groups += [[] for _ in range(number - len(before))]
    kept = {name for group in groups for name in group}
    for name in sorted(costs.keys() - kept, key=lambda name: (-costs[name], name)):
        min(groups, key=lambda group: sum(costs[each] for each in group)).append(name)
    if [] in groups:  # which would mean all of them
        names = ", ".join(before[groups.index([])][:3])
        raise NoDeal(f"Of the group with {names} no account is left, and there is none for it. Delete its file.")
    return [{"accounts": group, "estimated_calls": sum(costs[name] for name in group)} for group in groups]
