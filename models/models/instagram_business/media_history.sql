{{ config(schema=var("instagram_business_schema")) }}
{% set bigint = dbt.type_bigint() %}
{% set text = dbt.type_string() %}
{% set shown = [
    ("posts", "media", "false", "is_comment_enabled"),
    ("stories", "stories", "true", "cast(null as " ~ dbt.type_boolean() ~ ")"),
] %}
with {% for name, stream, is_story, is_comment_enabled in shown %}
{{ name }} as (
    select
        cast(id as {{ bigint }}) as id,
        cast(ig_id as {{ bigint }}) as ig_id,
        cast(business_account_id as {{ bigint }}) as user_id,
        username,
        caption,
        {{ utc("timestamp") }} as created_time,
        media_type,
        {{ is_story }} as is_story,
        {{ is_comment_enabled }} as is_comment_enabled,
        cast(null as {{ bigint }}) as carousel_album_id,
        media_url,
        permalink,
        shortcode,
        thumbnail_url,
        {{ var("extracted_at") }} as extracted_at
    from {{ source("instagram", stream) }}
),
{% endfor %}
children as (
    select
        cast({{ child_field("id") }} as {{ bigint }}) as id,
        cast({{ child_field("ig_id") }} as {{ bigint }}) as ig_id,
        cast(album.business_account_id as {{ bigint }}) as user_id,
        coalesce({{ child_field("username") }}, album.username) as username,
        cast(null as {{ text }}) as caption,
        coalesce({{ utc(read_moment(child_field("timestamp"))) }}, {{ utc("album.timestamp") }}) as created_time,
        {{ child_field("media_type") }} as media_type,
        false as is_story,
        cast(null as {{ dbt.type_boolean() }}) as is_comment_enabled,
        cast(album.id as {{ bigint }}) as carousel_album_id,
        {{ child_field("media_url") }} as media_url,
        {{ child_field("permalink") }} as permalink,
        {{ child_field("shortcode") }} as shortcode,
        {{ child_field("thumbnail_url") }} as thumbnail_url,
        album.{{ var("extracted_at") }} as extracted_at
    from {{ source("instagram", "media") }} as album
    {{ each_child("album.children") }}
),

sightings as (
    select * from posts
    union all
    select * from children
    union all
    select * from stories
),

{{ versions_of(
    "sightings",
    compared=[
        "ig_id", "user_id", "username", "caption", "created_time", "media_type", "is_story", "is_comment_enabled",
        "carousel_album_id", "permalink", "shortcode",
    ],
    followed=["media_url", "thumbnail_url"],
) }}

select
    {{ fingerprint(["id", "version"]) }} as _fivetran_id,
    extracted_at as _fivetran_synced,
    id,
    ig_id,
    user_id,
    username,
    caption,
    created_time,
    media_type,
    is_story,
    is_comment_enabled,
    carousel_album_id,
    newest_media_url as media_url,
    permalink,
    shortcode,
    newest_thumbnail_url as thumbnail_url
from versions
