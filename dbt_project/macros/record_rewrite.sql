{#
  Two things that DuckDB's JSON functions do not tell, for the few records that have them: the text of a number with a
  fraction or an exponent, which they take through a double; and the values of a name that a record has twice, of which
  they give the first. Such a record is written again, with its known fields only: each name once, with its first value
  that is not blank, as a text. Every other rule then holds for it as for any record.
#}

{#
  The rows of `relation`, which has `record`, `names` (null where it cannot be read) and `spelling`, with each record
  that must be written again so written; and `repeats_field`, whether it has the name of a known field more than once.
#}
{% macro settled_records(relation) -%}
    select
        * exclude (entries) replace (
            case when entries is null then record else {{ record_of_entries('entries') }} end as record,
            case when entries is null then names else {{ entry_names('entries') }} end as names
        ),
        coalesce(len({{ entry_names('entries') }}) < len(entries), false) as repeats_field
    from (
        select
            *,
            case
                when names is not null and {{ needs_rewrite('record', 'names', 'spelling') }}
                    then {{ known_entries('record') }}
            end as entries
        from {{ relation }}
    )
{%- endmacro %}

{# Whether a valid record must be written again. `names` are its field names, `spelling` its usual spelling or null. #}
{% macro needs_rewrite(record, names, spelling) -%}
    (
        regexp_matches({{ record }}, '{{ inexact_number_pattern() }}')
        or ({{ spelling }} is null and len(list_distinct({{ names }})) < len({{ names }}))
    )
{%- endmacro %}

{# A number that DuckDB would not give back as it is written; where it matches inside a text, it does no harm. #}
{% macro inexact_number_pattern() -%}
    [:\[,]\s*-?(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|0)\s*[,}\]]
{%- endmacro %}

{# What marks a number that was put in quotes; no text is expected to have it. #}
{% macro number_mark() -%}
    \u0000number:
{%- endmacro %}

{# The known fields of a record in its order, as a list of structs: `name` and `value`, a text or null. #}
{% macro known_entries(record) -%}
    list_transform(
        list_filter(
            list_zip(json_keys({{ record }}), json_extract({{ numbers_marked(record) }}, '$.*')),
            lambda entry: list_contains(
                {{ names_literal(all_field_names() | map('lower') | unique | list) }}, lower(trim(entry[1]))
            )
        ),
        lambda entry: {
            'name': entry[1],
            'value': case
                when json_type(entry[2]) in ('OBJECT', 'ARRAY')
                    then regexp_replace(cast(entry[2] as varchar), '"\\u0000number:([^"]*)"', '\1', 'g')
                else replace(json_extract_string(entry[2], '$'), chr(0) || 'number:', '')
            end
        }
    )
{%- endmacro %}

{# A JSON text with every number a marked text: its tokens are texts, signs and words, of which numbers begin like one. #}
{% macro numbers_marked(record) -%}
    array_to_string(
        list_transform(
            regexp_extract_all({{ record }}, '(?s)"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+'),
            lambda token: case when regexp_matches(token, '^[-0-9]') then '"{{ number_mark() }}' || token || '"' else token end
        ),
        ''
    )
{%- endmacro %}

{# The names of these entries, each once. #}
{% macro entry_names(entries) -%}
    list_distinct(list_transform({{ entries }}, lambda entry: entry.name))
{%- endmacro %}

{# The record of these entries, as a JSON text: each name with its first value that is not blank. #}
{% macro record_of_entries(entries) -%}
    '{' || array_to_string(
        list_transform(
            {{ entry_names(entries) }},
            lambda name: to_json(name) || ':' || coalesce(
                to_json(list_filter(
                    {{ entries }},
                    lambda entry: entry.name = name and trim(entry.value, {{ white_space() }}) <> ''
                )[1].value),
                'null'
            )
        ),
        ','
    ) || '}'
{%- endmacro %}
