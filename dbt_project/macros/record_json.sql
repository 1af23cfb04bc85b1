{#
  Access to a field of a raw record. A field is known by several names, in order of precedence; the exact
  spellings are read first, in one pass over the record, and any other case of them only for a record that has
  a field name which is none of the exact spellings.
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

{# The values of all exact spellings, as a list in the order of `all_field_names`. #}
{% macro exact_field_values(record) -%}
    {{ return(adapter.dispatch('exact_field_values', 'activity_audit')(record)) }}
{%- endmacro %}

{% macro default__exact_field_values(record) -%}
    json_extract_string({{ record }}, [
        {%- for name in all_field_names() %}'$."{{ name }}"'{{ ', ' if not loop.last }}{% endfor -%}
    ])
{%- endmacro %}

{# The field names of a record that are no exact spelling of a known field. #}
{% macro other_field_names(record) -%}
    {{ return(adapter.dispatch('other_field_names', 'activity_audit')(record)) }}
{%- endmacro %}

{% macro default__other_field_names(record) -%}
    case
        when not list_has_all({{ known_names_literal() }}, json_keys({{ record }}))
            then list_filter(json_keys({{ record }}), lambda name: not list_contains({{ known_names_literal() }}, name))
    end
{%- endmacro %}

{% macro known_names_literal() -%}
    [{%- for name in all_field_names() %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor -%}]
{%- endmacro %}

{#
  The first value of `field` that is not blank, cleaned. Needs columns `record`, `exact_values` and
  `other_names` (null for the usual record).
#}
{% macro field_value(field) -%}
    {{ return(adapter.dispatch('field_value', 'activity_audit')(field)) }}
{%- endmacro %}

{% macro default__field_value(field) -%}
    coalesce(
        {%- for name in field_names()[field] %}
        {{ clean_text('exact_values[' ~ (all_field_names().index(name) + 1) ~ ']') }},
        {%- endfor %}
        case
            when other_names is not null
                then {{ clean_text(any_case_value(field)) }}
        end
    )
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
