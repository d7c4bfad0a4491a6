with stories as (
    {{ newest("stories", ["id"]) }}
),

insights as (
    {{ newest("story_insights", ["id"]) }}
)

select
    stories.id,
    stories.business_account_id,
    stories.username,
    {{ utc("stories.timestamp") }} as published_at,
    stories.media_type,
    stories.caption,
    stories.permalink,
    insights.reach,
    insights.views,
    insights.total_interactions,
    insights.replies,
    insights.shares,
    insights.follows,
    insights.profile_visits,
    insights.link_clicks,
    insights.navigation_tap_forward as taps_forward,
    insights.navigation_tap_back as taps_back,
    insights.navigation_tap_exit as exits,
    insights.navigation_swipe_forward as swipes_forward,
    insights.extracted_at as counted_at,
    {{ dbt.datediff(utc("stories.timestamp"), utc("insights.extracted_at"), "minute") }} / 60.0 as age_in_hours
from stories
left join insights on stories.id = insights.id
