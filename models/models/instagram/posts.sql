with media as (
    {{ newest("media", ["id"]) }}
),

insights as (
    {{ newest("media_insights", ["id"]) }}
)

select
    media.id,
    media.business_account_id,
    media.username,
    {{ utc("media.timestamp") }} as published_at,
    media.media_type,
    media.media_product_type,
    case
        when media.media_product_type = 'REELS' then 'reel'
        when media.media_type = 'CAROUSEL_ALBUM' then 'album'
        when media.media_type = 'VIDEO' then 'video'
        else 'photo'
    end as kind,
    media.caption,
    media.permalink,
    media.shortcode,
    insights.reach,
    insights.views,
    insights.total_interactions,
    coalesce(media.like_count, insights.likes) as likes,
    coalesce(media.comments_count, insights.comments) as comments,
    insights.saved,
    insights.shares,
    insights.follows,
    insights.profile_visits,
    1.0 * insights.total_interactions / nullif(insights.reach, 0) as interactions_per_reach,
    media.extracted_at as read_at,
    insights.extracted_at as counted_at
from media
left join insights on media.id = insights.id
