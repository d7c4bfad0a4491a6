"""What docs/costs.md reckons is what syncs of the sandbox cost, and what `groups` estimates."""

from datetime import timedelta

import pytest
from harness import Connector, serving

from docs import costs
from source_instagram.groups import calls_of

DAYS = 120


@pytest.mark.slow
def test_syncs_cost_what_is_reckoned() -> None:
    with serving(
        accounts=1, portfolio_accounts=0, media=120, stories=6, tags=30, days=DAYS, before_conversion=0
    ) as box:
        box.set_usage(mode="missing")
        connector, size = Connector(box), costs.Size("this one", 120, 120 / DAYS, 6, 30)
        config = {"start_date": f"{box.world.now() - timedelta(days=DAYS):%Y-%m-%dT00:00:00Z}"}
        first = connector.read(incremental=True, **config)
        counts = [box.graph_calls]
        for state, streams in ((first, ()), (None, costs.STORY_STREAMS)):
            before = box.graph_calls
            connector.read(*streams, state=state, **config)
            counts.append(box.graph_calls - before)
    reckoned = [sum(each.values()) for each in (costs.first(size, DAYS), costs.daily(size), costs.stories(size))]
    assert counts == [pytest.approx(each, rel=0.15) for each in reckoned]


@pytest.mark.parametrize("size", costs.SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("days", [30, 365, costs.HISTORY])
def test_groups_are_dealt_by_the_same_costs(size: costs.Size, days: int) -> None:
    assert calls_of(size.media, days) == pytest.approx(sum(costs.first(size, days).values()), rel=0.15)
