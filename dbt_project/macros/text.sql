{# Text as it is stored: without white space around it, in Unicode NFC; null where nothing is left. #}
{% macro clean_text(expression) -%}
    {{ return(adapter.dispatch('clean_text', 'activity_audit')(expression)) }}
{%- endmacro %}

{% macro default__clean_text(expression) -%}
    case
        -- Trimming looks at every character of a text, so only a text that may need it is trimmed.
        when regexp_matches({{ expression }}, '{{ bare_edge_pattern() }}')
            then nullif(nfc_normalize(trim({{ expression }}, {{ white_space() }})), '')
        else nfc_normalize(nullif({{ expression }}, ''))
    end
{%- endmacro %}

{# A text that begins or ends with anything but a visible ASCII character. #}
{% macro bare_edge_pattern() -%}
    \A[^!-~]|[^!-~]\z
{%- endmacro %}

{# What Python's str.strip takes for white space, and the byte order mark, as one text. #}
{% macro white_space() -%}
    {%- set code_points = (
        [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 5760] + range(8192, 8203) | list
        + [8232, 8233, 8239, 8287, 12288, 65279]
    ) -%}
    {%- for code_point in code_points %}chr({{ code_point }}){{ ' || ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{#
  The key by which names match: case, spacing, punctuation, and `&` against `and` make no difference. A name of
  punctuation only is its own key. The same rule in Python: orchestration.catalogue.normalised_name.
#}
{% macro normalised_name(expression) -%}
    {{ return(adapter.dispatch('normalised_name', 'activity_audit')(expression)) }}
{%- endmacro %}

{% macro default__normalised_name(expression) -%}
    coalesce(
        nullif(regexp_replace(replace(lower({{ expression }}), '&', 'and'), '[\s\p{P}\p{Z}\p{C}]+', '', 'g'), ''),
        lower({{ expression }})
    )
{%- endmacro %}

{#
  Whether an acknowledgement is about what was observed: the names match, and one that it does not have stands for all.
#}
{% macro acknowledges(acknowledgement, observed) -%}
    {{ normalised_name(acknowledgement ~ '.application') }} = {{ normalised_name(observed ~ '.application') }}
    {%- for name in ['entity', 'activity'] %}
    and (
        {{ acknowledgement }}.{{ name }} is null
        or {{ normalised_name(acknowledgement ~ '.' ~ name) }} = {{ normalised_name(observed ~ '.' ~ name) }}
    )
    {%- endfor %}
{%- endmacro %}

{# The key of an (application, entity, activity): a hash of the three normalised names. #}
{% macro entity_activity_key(application, entity, activity) -%}
    md5(concat_ws(
        chr(31),
        {{ normalised_name(application) }},
        {{ normalised_name(entity) }},
        coalesce({{ normalised_name(activity) }}, '')
    ))
{%- endmacro %}
