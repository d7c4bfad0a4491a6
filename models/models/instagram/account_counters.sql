with profiles as (
    {{ newest("users", ["id"], daily=true) }}
)

select
    id as business_account_id,
    username,
    snapshot_day,
    {{ dbt.datediff("lag(snapshot_day) over (partition by id order by snapshot_day)", "snapshot_day", "day") }}
    as days_since_the_one_before,
    followers_count,
    {{ gained("followers_count", "id") }} as followers_gained,
    follows_count,
    {{ gained("follows_count", "id") }} as follows_gained,
    media_count,
    {{ gained("media_count", "id") }} as media_gained
from profiles
