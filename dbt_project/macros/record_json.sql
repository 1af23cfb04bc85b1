{#
  Access to a field of a raw record. A field is known by several names, in order of precedence; the exact
  spellings are read first, in one pass over the record, and any other case of them only for a record that has
  a field name which is none of the exact spellings. A record with the usual names is read in a shorter way, to the
  same effect.
#}
{% macro field_names() -%}
    {{ return({
        'application': ['application', 'Application'],
        'entity': ['entity', 'Entity'],
        'activity': ['activity', 'Activity'],
        'event_time': ['eventTime', 'event_time'],
        'event_time_utc': ['Event Time (UTC)'],
        'event_id': ['eventId', 'event_id', 'Event ID'],
        'triggered_by': ['triggeredBy', 'triggered_by', 'Triggered By'],
        'instance': ['instance', 'Instance'],
        'outcome': ['outcome', 'Outcome'],
        'comments': ['comments', 'Comments'],
    }) }}
{%- endmacro %}

{% macro all_field_names() -%}
    {%- set names = [] -%}
    {%- for spellings in field_names().values() -%}{%- do names.extend(spellings) -%}{%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{# The field names of a record, as a list in the order in which it has them. #}
{% macro record_field_names(record) -%}
    {{ return(adapter.dispatch('record_field_names', 'activity_audit')(record)) }}
{%- endmacro %}

{% macro default__record_field_names(record) -%}
    json_keys({{ record }})
{%- endmacro %}

{#
  Whether these are the names of the usual record: the feed contract's nine, in its order. Then only those are looked
  for, and no other case of them.
#}
{% macro are_usual_names(names) -%}
    {{ names }} = {{ names_literal(usual_field_names()) }}
{%- endmacro %}

{% macro usual_field_names() -%}
    {%- set names = [] -%}
    {%- for field in [
        'application', 'entity', 'activity', 'event_time', 'event_id', 'triggered_by', 'instance', 'outcome', 'comments'
    ] -%}{%- do names.append(field_names()[field][0]) -%}{%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{# The values of these fields of a record, as a list of texts in the order of their names. #}
{% macro field_values(record, names) -%}
    {{ return(adapter.dispatch('field_values', 'activity_audit')(record, names)) }}
{%- endmacro %}

{% macro default__field_values(record, names) -%}
    json_extract_string({{ record }}, [
        {%- for name in names %}'$."{{ name }}"'{{ ', ' if not loop.last }}{% endfor -%}
    ])
{%- endmacro %}

{# Those names that are no exact spelling of a known field; null where there is none. #}
{% macro other_field_names(names) -%}
    {{ return(adapter.dispatch('other_field_names', 'activity_audit')(names)) }}
{%- endmacro %}

{% macro default__other_field_names(names) -%}
    case
        when not list_has_all({{ names_literal(all_field_names()) }}, {{ names }})
            then list_filter({{ names }}, lambda name: not list_contains({{ names_literal(all_field_names()) }}, name))
    end
{%- endmacro %}

{% macro names_literal(names) -%}
    [{%- for name in names %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor -%}]
{%- endmacro %}

{#
  The first value of `field` that is not blank, cleaned. Needs the columns that `field_columns` gives, and `record`.
#}
{% macro field_value(field) -%}
    {{ return(adapter.dispatch('field_value', 'activity_audit')(field)) }}
{%- endmacro %}

{% macro default__field_value(field) -%}
    case
        {%- if field_names()[field][0] in usual_field_names() %}
        when is_usual then {{ clean_text('usual_values[' ~ (usual_field_names().index(field_names()[field][0]) + 1) ~ ']') }}
        {%- endif %}
        when not is_usual
            then coalesce(
                {%- for name in field_names()[field] %}
                {{ clean_text('exact_values[' ~ (all_field_names().index(name) + 1) ~ ']') }},
                {%- endfor %}
                case
                    when other_names is not null
                        then {{ clean_text(any_case_value(field)) }}
                end
            )
    end
{%- endmacro %}

{# What `field_value` needs, from `record` and `names`, the names of its fields; all null where those are null. #}
{% macro field_columns() -%}
    {{ are_usual_names('names') }} as is_usual,
        case when {{ are_usual_names('names') }} then {{ field_values('record', usual_field_names()) }} end as usual_values,
        case when not {{ are_usual_names('names') }} then {{ field_values('record', all_field_names()) }} end as exact_values,
        case when not {{ are_usual_names('names') }} then {{ other_field_names('names') }} end as other_names
{%- endmacro %}

{% macro any_case_value(field) -%}
    list_filter(
        list_transform(
            list_filter(
                other_names,
                lambda name: lower(trim(name)) in (
                    {%- for name in field_names()[field] %}'{{ name | lower }}'{{ ', ' if not loop.last }}{% endfor -%}
                )
            ),
            lambda name: json_extract_string(record, '/' || replace(replace(name, '~', '~0'), '/', '~1'))
        ),
        lambda value: trim(value, {{ white_space() }}) <> ''
    )[1]
{%- endmacro %}
