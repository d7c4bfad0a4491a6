{#
    The day in California that a label of Meta's names, for `date` in `user_insights`, `user_total_insights` and
    `user_insights_breakdowns`. The label is midnight in California, 07:00 or 08:00 UTC, so its date in UTC is its date
    in California. Meta documents it as the end of the day: the day is the one before. People who compared with the app
    disagree, and nobody has settled it; this is the only place that reads it.

    Before: 2026-05-08 07:00:00+00:00
    After:  2026-05-07
#}
{% macro day(label) -%}
{{ source_instagram.days_before(source_instagram.utc_date(label), 1) }}
{%- endmacro %}


{#- The date in UTC of a moment. -#}
{% macro utc_date(moment) -%}
cast({{ source_instagram.utc(moment) }} as date)
{%- endmacro %}


{#- A moment in UTC, whether its column has a zone or is UTC without one, whatever zone the session has. -#}
{% macro utc(moment) -%}
{{ return(adapter.dispatch("utc", "source_instagram")(moment)) }}
{%- endmacro %}

{% macro default__utc(moment) -%}
to_timestamp(extract(epoch from {{ moment }})) at time zone 'UTC'
{%- endmacro %}

{% macro duckdb__utc(moment) -%}
make_timestamp(epoch_us({{ moment }}))
{%- endmacro %}

{% macro snowflake__utc(moment) -%}
to_timestamp_ntz(date_part(epoch_millisecond, {{ moment }}), 3)
{%- endmacro %}

{% macro bigquery__utc(moment) -%}
cast({{ moment }} as timestamp)
{%- endmacro %}


{#- A moment that is written in JSON. -#}
{% macro read_moment(text) -%}
{{ return(adapter.dispatch("read_moment", "source_instagram")(text)) }}
{%- endmacro %}

{% macro default__read_moment(text) -%}
cast({{ text }} as timestamp with time zone)
{%- endmacro %}

{% macro snowflake__read_moment(text) -%}
cast({{ text }} as timestamp_tz)
{%- endmacro %}

{% macro bigquery__read_moment(text) -%}
cast({{ text }} as timestamp)
{%- endmacro %}


{#- The date so many days before one. -#}
{% macro days_before(date, days) -%}
cast({{ dbt.dateadd("day", -days, date) }} as date)
{%- endmacro %}
