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
  The ways in which a whole record is usually spelt, by their names in the order of the record: the feed contract's
  nine, in camel and in snake case, and the columns of the vendor's report. Of such a record only these are looked for.
#}
{% macro usual_spellings() -%}
    {{ return([
        ['application', 'entity', 'activity', 'eventTime', 'eventId', 'triggeredBy', 'instance', 'outcome', 'comments'],
        [
            'application', 'entity', 'activity', 'event_time', 'event_id', 'triggered_by', 'instance', 'outcome',
            'comments'
        ],
        [
            'Event Time (UTC)', 'Event ID', 'Triggered By', 'Entity', 'Instance', 'Activity', 'Outcome', 'Application',
            'Comments'
        ],
    ]) }}
{%- endmacro %}

{# Which of the usual spellings, from 1, have `field`, and where they have its value among `usual_values`. #}
{% macro usual_place(field) -%}
    {%- set order = ['application', 'entity', 'activity', 'event_time', 'event_id', 'triggered_by', 'instance', 'outcome', 'comments'] -%}
    {%- set numbers = [] -%}
    {%- for spelling in usual_spellings() -%}
        {%- if spelling | select('in', field_names()[field]) | list -%}{%- do numbers.append(loop.index) -%}{%- endif -%}
    {%- endfor -%}
    {{ return({'spellings': numbers, 'index': order.index(field | replace('_utc', '')) + 1}) }}
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

{# Those names that are a known field's in another case; null where there is none. #}
{% macro other_field_names(names) -%}
    {{ return(adapter.dispatch('other_field_names', 'activity_audit')(names)) }}
{%- endmacro %}

{% macro default__other_field_names(names) -%}
    case
        when not list_has_all({{ names_literal(all_field_names()) }}, {{ names }})
            then nullif(list_filter(
                {{ names }},
                lambda name: not list_contains({{ names_literal(all_field_names()) }}, name)
                    and list_contains({{ names_literal(all_field_names() | map('lower') | unique | list) }}, lower(trim(name)))
            ), [])
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
    {%- set place = usual_place(field) -%}
    {%- set value = 'usual_values[' ~ place.index ~ ']' -%}
    case
        when spelling in ({{ place.spellings | join(', ') }})
            then case when is_plain then nullif({{ value }}, '') else {{ clean_text(value) }} end
        else
            coalesce(
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

{#
  Whether no text in a record needs cleaning, told from all of it at once: it has no escapes, no quote has a space
  beside it, and each character is ASCII or one of those up to U+02FF that stand for themselves in NFC and are no white
  space. A record of which this is not so may still need no cleaning.
#}
{% macro is_plain_record(record) -%}
    {{ return(adapter.dispatch('is_plain_record', 'activity_audit')(record)) }}
{%- endmacro %}

{% macro default__is_plain_record(record) -%}
    not contains({{ record }}, '\') and not contains({{ record }}, ' "') and not contains({{ record }}, '" ')
        and case
            when strlen({{ record }}) = length({{ record }}) then true
            else not regexp_matches({{ record }}, '[^\x00-\x7f\x{a1}-\x{2ff}]')
        end
{%- endmacro %}

{#
  What `field_value` needs, from columns `record`, `names` (those of its fields, in its order) and `spelling` (the
  number of the usual spelling that those are): the values of such a record in one order, whatever its own, those of
  any other under all names that are known, and its names that are those in another case. All null where `names` is.
#}
{% macro field_columns() -%}
    case
            when spelling is not null then {{ is_plain_record('record') }}
        end as is_plain,
        case spelling
            {%- for spelt in usual_spellings() %}
            when {{ loop.index }} then {{ field_values('record', in_one_order(loop.index)) }}
            {%- endfor %}
        end as usual_values,
        case when names is not null and spelling is null then {{ field_values('record', all_field_names()) }} end as exact_values,
        case when names is not null and spelling is null then {{ other_field_names('names') }} end as other_names
{%- endmacro %}

{# The number of the usual spelling whose names these are, in its order; null where they are of none. #}
{% macro usual_spelling(names) -%}
    case {{ names }}
            {%- for spelt in usual_spellings() %}
            when {{ names_literal(spelt) }} then {{ loop.index }}
            {%- endfor %}
        end
{%- endmacro %}

{# The names of a usual spelling in the order of `usual_place`. #}
{% macro in_one_order(number) -%}
    {%- set places = {} -%}
    {%- for field in field_names() if number in usual_place(field).spellings -%}
        {%- for name in usual_spellings()[number - 1] if name in field_names()[field] -%}
            {%- do places.update({usual_place(field).index: name}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(places | dictsort | map(attribute=1) | list) }}
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
