{#- An album's children, a JSON array of objects: joined to `from`, a row for each, called `child`. -#}
{% macro each_child(column) -%}
{{ return(adapter.dispatch("each_child", "source_instagram")(column)) }}
{%- endmacro %}

{% macro default__each_child(column) -%}
cross join lateral jsonb_array_elements(
    case when jsonb_typeof(cast({{ column }} as jsonb)) = 'array' then cast({{ column }} as jsonb) end
) as child (value)
{%- endmacro %}

{% macro duckdb__each_child(column) -%}
cross join unnest(cast({{ column }} as json[])) as child (value)
{%- endmacro %}

{% macro snowflake__each_child(column) -%}
cross join lateral flatten(input => {{ column }}) as child
{%- endmacro %}

{% macro bigquery__each_child(column) -%}
cross join unnest(json_query_array({{ column }})) as child
{%- endmacro %}


{#- A field of such a child, as text. -#}
{% macro child_field(name) -%}
{{ return(adapter.dispatch("child_field", "source_instagram")(name)) }}
{%- endmacro %}

{% macro default__child_field(name) -%}
child.value ->> '{{ name }}'
{%- endmacro %}

{% macro snowflake__child_field(name) -%}
child.value:{{ name }}::varchar
{%- endmacro %}

{% macro bigquery__child_field(name) -%}
json_value(child, '$.{{ name }}')
{%- endmacro %}
