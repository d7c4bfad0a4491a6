with cells as (
    {{ newest(
        "audience_demographics",
        ["business_account_id", "date", "metric", "timeframe", "breakdown", "dimension"],
    ) }}
),

snapshots as (
    select
        business_account_id,
        metric,
        timeframe,
        breakdown,
        max(date) as newest_date
    from cells
    group by business_account_id, metric, timeframe, breakdown
),

profiles as (
    {{ newest("users", ["id"]) }}
)

select
    cells.business_account_id,
    profiles.username,
    cells.date as snapshot_day,
    cells.metric,
    cells.timeframe,
    cells.breakdown,
    cells.dimension,
    cells.value as people,
    1.0 * cells.value / nullif(sum(cells.value) over (
        partition by cells.business_account_id, cells.metric, cells.timeframe, cells.breakdown
    ), 0) as share
from cells
inner join snapshots
    on cells.business_account_id = snapshots.business_account_id
    and cells.metric = snapshots.metric
    and cells.timeframe = snapshots.timeframe
    and cells.breakdown = snapshots.breakdown
    and cells.date = snapshots.newest_date
left join profiles on cells.business_account_id = profiles.id
