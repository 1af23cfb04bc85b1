{# Text without Unicode white space around it, in NFC; null where nothing is left. #}
{% macro clean(text) -%}
    nullif(nfc_normalize(trim({{ text }}, {{ white_space() }})), '')
{%- endmacro %}

{% macro white_space() -%}
    {%- set code_points = (
        range(9, 14) | list + range(28, 33) | list + [133, 160, 5760] + range(8192, 8203) | list
        + [8232, 8233, 8239, 8287, 12288]
    ) -%}
    {%- for code_point in code_points %}chr({{ code_point }}){{ ' || ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{# The key by which names match. #}
{% macro key(name) -%}
    coalesce(
        nullif(regexp_replace(replace(lower({{ name }}), '&', 'and'), '[\s\p{P}\p{Z}\p{C}]+', '', 'g'), ''),
        lower({{ name }})
    )
{%- endmacro %}

{% macro time_pattern() -%}
    \d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?
{%- endmacro %}

{# A time to the microsecond. #}
{% macro cut(time) -%}
    regexp_replace({{ time }}, '(\.\d{6})\d+', '\1')
{%- endmacro %}
