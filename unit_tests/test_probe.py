import pytest
from law import ALONE, WORLD, Excuse, Spec, Trial
from test_attack import GONE, INVALID, NO_PERMISSION, SERVICE, error, feed
from test_attack_second import edit, fresh

COMMON = ("views", "reach", "likes")
NF = {"code": -1, "error_subcode": 2207086, "message": "Fatal"}

import os
def show(tried):
    name = os.environ["PYTEST_CURRENT_TEST"].split("::")[1].split(" ")[0]
    st = tried.outcome.statuses
    with open("/tmp/attack3_probe.txt", "a") as f:
        print(("OK  " if not tried.broken else "BAD ") + name, tried.fired, st, len(tried.broken), file=f)
        for b in tried.broken[:1] + [b for b in tried.broken[1:] if "sentence" in b or "wrong" in b or "good" in b or "requests" in b][:3]: print("     ", b[:260], file=f)
        for e in tried.outcome.errors[:1]:
            if tried.broken: print("     ERR", e["message"][:200], "|", " ".join((e.get("stack_trace") or "").split()[-30:]), file=f)
    assert tried.broken == []

from harness import Connector, SCHEMAS
from law import CONFIG
from oracle import Oracle
SHARED = {"id","timestamp","business_account_id","page_id","media_product_type","views","reach","likes","comments","saved","shares","total_interactions","reposts"}
NOTSEL = [Excuse(streams={"media_insights"}, columns=set(SCHEMAS["media_insights"]["properties"]) - SHARED)]
def reader(_):
    def read(self, state=None):
        config = {**CONFIG, "start_date": f"{self.start:%Y-%m-%dT%H:%M:%SZ}", **self.config}
        without = set(SCHEMAS["media_insights"]["properties"]) - SHARED
        return Connector(self.box).read(*self.streams, incremental=True, state=state, without=without, **config)
    return read

@pytest.mark.parametrize("key,value", [("dimension_keys", 5), ("dimension_keys", "x"), ("results.0.dimension_values", 5), ("results.0.dimension_values", {"a": 1}), ("results.0.value", None), ("results", 3)], ids=repr)
@pytest.mark.parametrize("stream", ["user_total_insights", "user_insights_breakdowns", "audience_demographics", "story_insights"])
def test_cells(box, stream, key, value):
    fresh(box)
    show(Trial(box, (stream,)).run(edit("breakdown", set={"data.*.total_value.breakdowns.*."+key: value}, account=box.world.accounts[0].id, times=1)))

@pytest.mark.parametrize("value", ["x", 5, None, {"a": 1}, "2026-13-45T00:00:00+0000"], ids=repr)
@pytest.mark.parametrize("stream", ["media", "media_insights", "comments"])
def test_times(box, stream, value):
    fresh(box)
    show(Trial(box, (stream,)).run(edit(r"/media\?", set={"data.0.timestamp": value}, account=box.world.accounts[0].id)))

# -- shared answers
FT = ("user_total_insights", "user_insights_breakdowns")
@pytest.mark.parametrize("days", [2, 4, 7, 14])
@pytest.mark.parametrize("envelope", [NO_PERMISSION, INVALID, {"code": 7777, "message": "Something new"}, {"code": 1, "message": "An unknown error"}], ids=lambda e: e["message"][:8])
@pytest.mark.parametrize("path", [r"metric=[^&]*\bviews\b[^&]*&.*breakdown=follow_type", "follows_and_unfollows"])
@pytest.mark.parametrize("streams", [FT, FT[::-1]], ids=lambda s: s[0][:8])
def test_hidden(box, days, envelope, path, streams, monkeypatch):
    import law
    monkeypatch.setattr(law, "DAYS", days)
    fresh(box, accounts=1)
    ex = [Excuse(streams={"user_total_insights"}, columns={"follows", "unfollows"}), Excuse(streams={"user_insights_breakdowns"}, records=lambda r: r["metric"] == "follows_and_unfollows", silent=True)] if "follows_and" in path else ()
    show(Trial(box, streams).run(error(path, envelope), excuses=ex))

@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("streams", [FT, FT[::-1]], ids=lambda s: s[0][:8])
def test_hidden_lacks(box, at, streams):
    fresh(box, accounts=1)
    # a combined answer without one of its metrics
    show(Trial(box, streams).run(edit(r"metric=[^&]*\b(views[^&]*follows_and|follows_and[^&]*views).*breakdown=follow_type", remove=f"data.{at}")))

@pytest.mark.parametrize("stream", ["user_total_insights", "user_insights_breakdowns"])
@pytest.mark.parametrize("value", [None, "0", 0])
def test_null_days(box, stream, value, monkeypatch):
    import law
    monkeypatch.setattr(law, "DAYS", 40)
    fresh(box, accounts=1, days=40)
    trial = Trial(box, (stream,))
    start = int(trial.start.timestamp())
    days = [start, start + 20 * 86400]
    spans = [f"since={start + k * 86400}&until={start + m * 86400}" for k in range(1, 22) for m in range(k + 3, 41)]
    fault = edit("(" + "|".join([f"since={d}&until={d+86400}" for d in days] + spans) + ")", set={"data.*.total_value": {"value": value}})
    show(trial.run(fault, excuses=[Excuse(streams={stream}, records=lambda r: r["date"][:10] in (str(trial.start.date()), str((trial.start + __import__("datetime").timedelta(days=20)).date())), silent=True)]))

def test_zero_count_plain(box):
    fresh(box)
    show(Trial(box, ("comments",)).run(ALONE, edit(r"/media\?", set={"data.*.comments_count": 0})))

def test_left_out_comments(box):
    fresh(box, accounts=1)
    posts = [p for p in box.world.media(box.world.accounts[0]) if box.world.comments(p)]
    show(Trial(box, ("comments",)).run(
        edit(r"/media\?", set={"data.*.comments_count": 300}),
        edit(r"/media\?", remove=[f"data.id={posts[6].id}.comments"])))

@pytest.mark.parametrize("stream", ["media_insights", "story_insights"])
def test_no_parts(box, stream):
    fresh(box)
    show(Trial(box, (stream,)).run(edit("breakdown=action_type", remove="data.*")))
@pytest.mark.parametrize("stream", ["media_insights", "story_insights"])
def test_no_parts2(box, stream):
    fresh(box)
    show(Trial(box, (stream,)).run(edit("breakdown=action_type", remove="data.*.total_value.breakdowns")))
@pytest.mark.parametrize("metric", ["crossposted_views", "facebook_views", "total_likes", "profile_activity", "reach"])
@pytest.mark.parametrize("envelope", [NF, {"code": -1, "error_subcode": 2207073, "message": "Fatal"}, {"code": 1, "message": "An unknown error"}, {"code": 100, "message": "(#100) Unsupported"}, {"code": 100, "error_subcode": 2108006, "message": "Invalid"}], ids=lambda e: str(e.get("error_subcode") or e["code"]))
def test_one_metric(box, metric, envelope):
    fresh(box, accounts=1, media=30)
    ids = {p.id for p in box.world.media(box.world.accounts[0])[:9:2]}
    mates = {metric} | ({"total_likes","total_comments","total_views"} if metric.startswith("total") else set()) | ({c for c in SCHEMAS["media_insights"]["properties"] if c.startswith("profile_activity")} if metric.startswith("profile") else set())
    show(Trial(box, ("media_insights",)).run(error(f"/({'|'.join(ids)})/insights.*metric=([^&]*,)?{metric}\\b", envelope), excuses=[Excuse(streams={"media_insights"}, columns=mates, records=lambda r: r["id"] in ids)]))
