{# Text as it is stored: without white space around it, in Unicode NFC; null where nothing is left. #}
{% macro clean_text(expression) -%}
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

{#
  What Python's str.strip takes for white space, and the byte order mark, as one text. A sum of chr() would take DuckDB
  longer to plan than a small batch to judge; only a carriage return does not survive in a file of SQL.
#}
{% macro white_space() -%}
    '{{ "\t\n\x0b\x0c\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
        ~ "\u2028\u2029\u202f\u205f\u3000\ufeff" }}' || chr(13)
{%- endmacro %}

{#
  The key by which names match: case, spacing, punctuation, and `&` against `and` make no difference. A name of
  punctuation only is its own key. The same rule in Python: activity_audit.base.catalogue.normalised_name.
#}
{% macro normalised_name(expression) -%}
    coalesce(
        nullif(regexp_replace(replace(lower({{ expression }}), '&', 'and'), '[\s\p{P}\p{Z}\p{C}]+', '', 'g'), ''),
        lower({{ expression }})
    )
{%- endmacro %}

{#
  The query of the one label of each name, by `field` and `name_key`: a documented spelling; else the one that most events
  have, of the same number the smallest. `spellings` names rows of field, spelling, event_count and is_documented.
#}
{% macro labels(spellings) -%}
    select field, name_key, first(spelling order by is_documented desc, event_count desc, spelling) as label
    from (
        select
            field, spelling, {{ normalised_name('spelling') }} as name_key,
            bool_or(is_documented) as is_documented, sum(event_count) as event_count
        from {{ spellings }}
        where spelling is not null
        group by field, spelling
    )
    group by field, name_key
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
