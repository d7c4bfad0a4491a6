{{ config(schema=var("instagram_business_schema")) }}
{#- Each kind has columns of its own; the views of every post stand in `video_photo_views`, which is the one to sum. -#}
{% set bigint = dbt.type_bigint() %}
{% set columns = [
    ("carousel_album_engagement", "engagement", ["album"]),
    ("carousel_album_reach", "reach", ["album"]),
    ("carousel_album_saved", "saved", ["album"]),
    ("carousel_album_shares", "shares", ["album"]),
    ("carousel_album_views", "views", ["album"]),
    ("video_photo_engagement", "engagement", ["video_photo"]),
    ("video_photo_reach", "reach", ["video_photo"]),
    ("video_photo_saved", "saved", ["video_photo"]),
    ("video_photo_shares", "shares", ["video_photo"]),
    ("video_photo_views", "views", ["video_photo", "album", "reel"]),
    ("story_exits", "exits", ["story"]),
    ("story_reach", "reach", ["story"]),
    ("story_replies", "replies", ["story"]),
    ("story_shares", "shares", ["story"]),
    ("story_taps_back", "taps_back", ["story"]),
    ("story_taps_forward", "taps_forward", ["story"]),
    ("story_views", "views", ["story"]),
    ("reel_comments", "comments", ["reel"]),
    ("reel_likes", "likes", ["reel"]),
    ("reel_reach", "reach", ["reel"]),
    ("reel_shares", "shares", ["reel"]),
    ("reel_total_interactions", "total_interactions", ["reel"]),
    ("reel_views", "views", ["reel"]),
] %}
{% set retired = [
    "carousel_album_impressions", "carousel_album_video_views", "story_impressions", "video_photo_impressions",
    "video_views", "reel_plays",
] %}
with media as (
    {{ newest("media", ["id"]) }}
),

media_by_day as (
    {{ newest("media", ["id"], daily=true) }}
),

insights as (
    {{ newest("media_insights", ["id"], daily=true) }}
),

stories as (
    {{ newest("stories", ["id"]) }}
),

stories_by_day as (
    {{ newest("stories", ["id"], daily=true) }}
),

insights_of_stories as (
    {{ newest("story_insights", ["id"], daily=true) }}
),

-- What has no insights (older than the account, an ad, too few viewers) has its own counts at least.
posts_without as (
    select media_by_day.*
    from media_by_day
    left join insights on media_by_day.id = insights.id
    where insights.id is null
),

stories_without as (
    select stories_by_day.*
    from stories_by_day
    left join insights_of_stories on stories_by_day.id = insights_of_stories.id
    where insights_of_stories.id is null
),

counters as (
    select
        insights.id,
        insights.snapshot_day,
        insights.extracted_at,
        case
            when insights.media_product_type = 'REELS' then 'reel'
            when media.media_type = 'CAROUSEL_ALBUM' then 'album'
            else 'video_photo'
        end as kind,
        coalesce(media_by_day.like_count, insights.likes) as like_count,
        coalesce(media_by_day.comments_count, insights.comments) as comment_count,
        insights.likes + insights.comments + insights.saved as engagement,
        insights.likes,
        insights.comments,
        insights.saved,
        insights.reach,
        insights.shares,
        insights.views,
        insights.total_interactions,
        cast(null as {{ bigint }}) as replies,
        cast(null as {{ bigint }}) as exits,
        cast(null as {{ bigint }}) as taps_back,
        cast(null as {{ bigint }}) as taps_forward
    from insights
    left join media on insights.id = media.id
    left join media_by_day on insights.id = media_by_day.id and insights.snapshot_day = media_by_day.snapshot_day

    union all

    select
        insights_of_stories.id,
        insights_of_stories.snapshot_day,
        insights_of_stories.extracted_at,
        'story' as kind,
        stories.like_count,
        stories.comments_count as comment_count,
        cast(null as {{ bigint }}) as engagement,
        cast(null as {{ bigint }}) as likes,
        cast(null as {{ bigint }}) as comments,
        cast(null as {{ bigint }}) as saved,
        insights_of_stories.reach,
        insights_of_stories.shares,
        insights_of_stories.views,
        insights_of_stories.total_interactions,
        insights_of_stories.replies,
        insights_of_stories.navigation_tap_exit as exits,
        insights_of_stories.navigation_tap_back as taps_back,
        insights_of_stories.navigation_tap_forward as taps_forward
    from insights_of_stories
    left join stories on insights_of_stories.id = stories.id

    {% for relation in ["posts_without", "stories_without"] %}
    union all

    select
        id,
        snapshot_day,
        extracted_at,
        'none' as kind,
        like_count,
        comments_count as comment_count,
        {% for counter in [
            "engagement", "likes", "comments", "saved", "reach", "shares", "views", "total_interactions", "replies",
            "exits", "taps_back", "taps_forward",
        ] -%}
        cast(null as {{ bigint }}) as {{ counter }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ relation }}
    {% endfor %}
)

select
    {{ fingerprint(["id", "snapshot_day"]) }} as _fivetran_id,
    extracted_at as _fivetran_synced,
    cast(id as {{ bigint }}) as id,
    cast(like_count as {{ bigint }}) as like_count,
    cast(comment_count as {{ bigint }}) as comment_count,
    {% for name, counter, kinds in columns -%}
    cast(case when kind in ('{{ kinds | join("', '") }}') then {{ counter }} end as {{ bigint }}) as {{ name }},
    {% endfor -%}
    {% for name in retired -%}
    cast(null as {{ bigint }}) as {{ name }}{{ "," if not loop.last }}
    {% endfor %}
from counters
