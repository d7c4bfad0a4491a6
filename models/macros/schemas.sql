{#- A schema that a model names is that schema, not a suffix of the target's: others find these tables by its name. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
{%- set name = (custom_schema_name or target.schema) | trim -%}
{%- if custom_schema_name and name | lower == var("raw_schema") | lower -%}
    {{ exceptions.raise_compiler_error(
        "The models of schema " ~ name ~ " would overwrite the connector's own tables there: "
        ~ "let the connector write to another schema, or name another in the variable instagram_business_schema."
    ) }}
{%- endif -%}
{{ name }}
{%- endmacro %}
