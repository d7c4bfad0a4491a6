with series as (
    {{ newest("user_insights", ["business_account_id", "date"]) }}
),

-- Meta tells it for 30 days only: a later reading of the day has lost it.
gained as (
    {{ newest("user_insights", ["business_account_id", "date"], having="follower_count") }}
),

totals as (
    {{ newest("user_total_insights", ["business_account_id", "date"]) }}
),

profiles as (
    {{ newest("users", ["id"]) }}
),

labels as (
    select business_account_id, date
    from series

    union all

    select business_account_id, date
    from totals
),

days as (
    select distinct
        business_account_id,
        date as label,
        {{ day("date") }} as day
    from labels
)

select
    days.business_account_id,
    profiles.username,
    days.day,
    days.label,
    gained.follower_count as followers_gained,
    totals.follows,
    totals.unfollows,
    totals.follows - totals.unfollows as followers_net,
    series.reach,
    series.reach_week,
    series.reach_days_28,
    totals.views,
    totals.accounts_engaged,
    totals.total_interactions,
    totals.likes,
    totals.comments,
    totals.shares,
    totals.saves,
    totals.replies,
    totals.reposts,
    totals.profile_views,
    totals.website_clicks,
    totals.profile_links_taps
from days
left join series on days.business_account_id = series.business_account_id and days.label = series.date
left join gained on days.business_account_id = gained.business_account_id and days.label = gained.date
left join totals on days.business_account_id = totals.business_account_id and days.label = totals.date
left join profiles on days.business_account_id = profiles.id
