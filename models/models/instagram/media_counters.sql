{#- A post has none of anything before it is published: that is the reading before its first. -#}
{% set counters = ["views", "reach", "total_interactions", "likes", "comments", "saved", "shares"] %}
with insights as (
    {{ newest("media_insights", ["id"], daily=true) }}
),

dated as (
    select
        *,
        lag(snapshot_day) over (partition by id order by snapshot_day) as day_before,
        {{ utc_date("timestamp") }} as published_on
    from insights
)

select
    id,
    business_account_id,
    media_product_type,
    published_on,
    snapshot_day,
    {{ dbt.datediff("published_on", "snapshot_day", "day") }} as age_in_days,
    {{ dbt.datediff("coalesce(day_before, published_on)", "snapshot_day", "day") }} as days_since_the_one_before,
    {% for counter in counters -%}
    {{ counter }},
    {{ gained(counter, "id", beginning="0") }} as {{ counter }}_gained{{ "," if not loop.last }}
    {% endfor %}
from dated
