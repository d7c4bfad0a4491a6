{{ config(schema=var("instagram_business_schema")) }}
with sightings as (
    select
        cast(id as {{ dbt.type_bigint() }}) as id,
        cast(ig_id as {{ dbt.type_bigint() }}) as ig_id,
        username,
        name,
        website,
        cast(followers_count as {{ dbt.type_bigint() }}) as followers_count,
        cast(follows_count as {{ dbt.type_bigint() }}) as follows_count,
        cast(media_count as {{ dbt.type_bigint() }}) as media_count,
        {{ var("extracted_at") }} as extracted_at
    from {{ source("instagram", "users") }}
),

{{ versions_of(
    "sightings",
    compared=["ig_id", "username", "name", "website", "followers_count", "follows_count", "media_count"],
) }}

select
    {{ fingerprint(["id", "version"]) }} as _fivetran_id,
    extracted_at as _fivetran_synced,
    id,
    ig_id,
    username,
    name,
    website,
    followers_count,
    follows_count,
    media_count
from versions
