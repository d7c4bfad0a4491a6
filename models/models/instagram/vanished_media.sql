{#-
    What a sync should have given and did not: it reads all that was published in the look-back, and each older medium
    within `media_refresh_days` when there is a sync each day. A day without a sync postpones what is said of the older.
-#}
{% set lookback, refresh = var("media_lookback_days") | int, var("media_refresh_days") | int %}
with media as (
    {{ newest("media", ["id"]) }}
),

sightings as (
    select
        business_account_id,
        {{ utc_date("timestamp") }} as published_on,
        {{ utc_date(var("extracted_at")) }} as read_on
    from {{ source("instagram", "media") }}
),

readings as (
    select
        business_account_id,
        max(read_on) as last_read_on,
        max(published_on) as newest_published_on
    from sightings
    group by business_account_id
),

regular as (
    select
        sightings.business_account_id,
        count(distinct sightings.read_on) as days_read
    from sightings
    inner join readings on sightings.business_account_id = readings.business_account_id
    where sightings.read_on > {{ days_before("readings.last_read_on", refresh) }}
    group by sightings.business_account_id
)

select
    media.id,
    media.business_account_id,
    media.username,
    {{ utc("media.timestamp") }} as published_at,
    media.media_type,
    media.media_product_type,
    media.caption,
    media.permalink,
    media.snapshot_day as last_seen_on,
    readings.last_read_on as missed_on
from media
inner join readings on media.business_account_id = readings.business_account_id
left join regular on media.business_account_id = regular.business_account_id
where
    media.snapshot_day < readings.last_read_on
    and (
        {{ utc_date("media.timestamp") }} > {{ days_before("readings.newest_published_on", lookback) }}
        {%- if refresh %}
        or (
            regular.days_read = {{ refresh }}
            and media.snapshot_day <= {{ days_before("readings.last_read_on", refresh) }}
        )
        {%- endif %}
    )
