{#
    The newest row of each key in a stream, or with `daily` the newest of each key and UTC day, of what syncs have
    appended, of those with a value in `having` when a column is named. Adds `extracted_at` and `snapshot_day`. Of a table
    that keeps one row of each key it is all.
#}
{% macro newest(stream, keys, daily=false, having=none) -%}
{%- set moment = "raw." ~ var("extracted_at") -%}
select *
from (
    select
        raw.*,
        {{ moment }} as extracted_at,
        {{ source_instagram.utc_date(moment) }} as snapshot_day,
        row_number() over (
            partition by
                {% for key in keys %}raw.{{ key }}{{ ", " if not loop.last }}{% endfor %}
                {%- if daily %}, {{ source_instagram.utc_date(moment) }}{% endif %}
            order by {{ moment }} desc
        ) as place
    from {{ source("instagram", stream) }} as raw
    {%- if having %}
    where raw.{{ having }} is not null
    {%- endif %}
) as placed
where place = 1
{%- endmacro %}


{#- A text that stands for these values, the same one in every session. -#}
{% macro fingerprint(columns) -%}
{%- set parts = [] -%}
{%- for column in columns -%}
    {%- do parts.append("coalesce(cast(" ~ column ~ " as " ~ dbt.type_string() ~ "), '-')") -%}
{%- endfor -%}
{{ dbt.hash(parts | join(" || '|' || ")) }}
{%- endmacro %}


{#
    Of sightings (a CTE with `id`, `extracted_at` and columns) the first one of each version: CTEs that end with
    `versions`. A version ends when one of `compared` changes. `followed` are addresses that change all the time and
    expire: a version has those of its last sighting. Adds `version`, counted from 1 for each id.
#}
{% macro versions_of(sightings, compared, followed=[]) -%}
once as (
    select *
    from (
        select
            sightings.*,
            {{ source_instagram.fingerprint(compared) }} as content,
            row_number() over (partition by id, extracted_at order by id) as place
        from {{ sightings }} as sightings
    ) as placed
    where place = 1
),

beside_the_one_before as (
    select
        *,
        lag(content) over (partition by id order by extracted_at) as content_before
    from once
),

numbered as (
    select
        *,
        sum(case when content = content_before then 0 else 1 end)
            over (partition by id order by extracted_at rows between unbounded preceding and current row)
        as version
    from beside_the_one_before
),

sides as (
    select
        *,
        {% for column in followed -%}
        first_value({{ column }}) over (partition by id, version order by extracted_at desc) as newest_{{ column }},
        {% endfor -%}
        row_number() over (partition by id, version order by extracted_at) as sighting
    from numbered
),

versions as (
    select *
    from sides
    where sighting = 1
)
{%- endmacro %}


{#- How a counter has changed since the reading before; `beginning` is what it was before the first. -#}
{% macro gained(counter, keys, beginning="null") -%}
{{ counter }} - coalesce(lag({{ counter }}) over (partition by {{ keys }} order by snapshot_day), {{ beginning }})
{%- endmacro %}
