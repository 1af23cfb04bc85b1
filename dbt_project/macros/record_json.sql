{#
  The fields of a raw record. `listed_fields` lists them: `names`, and `texts`, their values as cleaned texts, both in the
  record's order. `field_text` then finds one of the ten among them.

  A field is known by several names, in order of precedence. An exact spelling goes before the same name in another case,
  which is taken in the record's order; a value goes before a blank one.
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

{#
  The orders in which the names of nearly every record stand: those of the feed contract, in camel and in snake case, and
  the columns of the vendor's report. In such a record a field is found by its place.
#}
{% macro usual_orders() -%}
    {{ return({
        'camel': [
            'application', 'entity', 'activity', 'eventTime', 'eventId', 'triggeredBy', 'instance', 'outcome', 'comments'
        ],
        'snake': [
            'application', 'entity', 'activity', 'event_time', 'event_id', 'triggered_by', 'instance', 'outcome',
            'comments'
        ],
        'report': [
            'Event Time (UTC)', 'Event ID', 'Triggered By', 'Entity', 'Instance', 'Activity', 'Outcome', 'Application',
            'Comments'
        ],
    }) }}
{%- endmacro %}

{#
  The usual record: all nine fields as texts, in the contract's order and camel case, with nothing in them that has to be
  cleaned or that could be a reason against the record. One pattern recognises it, and its fields are read as `usual`
  without being looked for. Looked for as in any other record, they would be the same.
#}
{% macro usual_fields(record) -%}
    {%- set names = usual_orders()['camel'] -%}
    case
        when regexp_full_match({{ record }}, '{{ usual_record_pattern(names) }}')
            then from_json({{ record }}, '{"{{ names | join('": "VARCHAR", "') }}": "VARCHAR"}')
    end
{%- endmacro %}

{#
  A value begins and ends with a visible character and may have spaces between them. It is of ASCII without quotes and
  escapes, and of `plain_characters`.
#}
{% macro usual_record_pattern(names) -%}
    {%- set visible = '!#-\\[\\]-~' ~ plain_characters() -%}
    {%- set value = '[' ~ visible ~ '](?:[ ' ~ visible ~ ']*[' ~ visible ~ '])?' -%}
    {%- set patterns = {
        'entity': value,
        'activity': value,
        'eventTime': usual_time_pattern() | trim,
        'eventId': value,
        'outcome': 'SUCCESS|FAILURE',
    } -%}
    \{
    {%- for name in names -%}
        "{{ name }}": ?"(?:{{ patterns[name] or '(?:' ~ value ~ ')?' }})"{{ ', ?' if not loop.last }}
    {%- endfor -%}
    \}
{%- endmacro %}

{#
  The rows of `records`, with the fields of each `record` that has no `problem`:
    is_json         whether it is JSON; the following are null and false where it is not
    usual           the fields of a usual record; names and texts are null then
    names, texts    the names of its fields, and their cleaned values
    usual_order     which of the usual orders its names have; null if none
    other_case      the fields, as (name, text), whose names are known but for their case; null if there are none
    repeats_field   whether it has a known name twice
#}
{% macro listed_fields(records) -%}
    {%- set exact = sql_list(field_names().values() | sum(start=[])) -%}
    {%- set known = sql_list(field_names().values() | sum(start=[]) | map('lower') | unique) -%}
    with

    recognised as (
        select
            *,
            case when problem is null then {{ usual_fields('record') }} end as usual
        from {{ records }}
    ),

    checked as (
        select
            *,
            -- Not by AND, all of which DuckDB computes for all rows.
            case when problem is null and usual is null then json_valid(record) else false end as is_to_search
        from recognised
    ),

    listed as (
        select
            * exclude (is_to_search),
            usual is not null or is_to_search as is_json,
            case when is_to_search then json_keys(record) end as names,
            case when is_to_search then {{ json_texts('record') }} end as texts
        from checked
    ),

    cleaned as (
        select
            * replace (
                case
                    when texts is null then null
                    when {{ needs_no_cleaning('record') }} then texts
                    else list_transform(texts, lambda text: {{ clean_text('text') }})
                end as texts
            ),
            case names
                {%- for order, names in usual_orders().items() %}
                when {{ sql_list(names) }} then '{{ order }}'
                {%- endfor %}
            end as usual_order
        from listed
    ),

    -- Of any other order: what has a value, and which names are known in any case.
    described as (
        select
            *,
            case
                when usual_order is null then list_filter(list_zip(names, texts), lambda field: field[2] <> '')
            end as filled,
            case
                when usual_order is null and len(list_distinct(names)) < len(names)
                    then list_filter(names, lambda name: list_contains({{ known }}, lower(trim(name))))
            end as repeated
        from cleaned
    )

    select
        * exclude (filled, repeated) replace (
            -- Of a name that is there twice, the first value that is not blank counts.
            case when repeated is null then names else list_transform(filled, lambda field: field[1]) end as names,
            case when repeated is null then texts else list_transform(filled, lambda field: field[2]) end as texts
        ),
        coalesce(len(list_distinct(repeated)) < len(repeated), false) as repeats_field,
        case
            when not list_has_all({{ exact }}, list_transform(filled, lambda field: field[1]))
                then list_filter(
                    filled,
                    lambda field: not list_contains({{ exact }}, field[1])
                        and list_contains({{ known }}, lower(trim(field[1])))
                )
        end as other_case
    from described
{%- endmacro %}

{# The cleaned text of a field; null where it has none. #}
{% macro field_text(field) -%}
    {%- set usual_name = (usual_orders()['camel'] | select('in', field_names()[field]) | list | first) -%}
    nullif(
        case
            {%- if usual_name %}
            when usual is not null then usual."{{ usual_name }}"
            {%- endif %}
            {%- for order, names in usual_orders().items() %}
            {%- for name in names if name in field_names()[field] %}
            when usual_order = '{{ order }}' then texts[{{ names.index(name) + 1 }}]
            {%- endfor %}
            {%- endfor %}
            else coalesce(
                {%- for name in field_names()[field] %}
                nullif(texts[list_position(names, '{{ name }}')], ''),
                {%- endfor %}
                list_filter(
                    other_case,
                    lambda field: list_contains({{ sql_list(field_names()[field] | map('lower')) }}, lower(trim(field[1])))
                )[1][2]
            )
        end,
        ''
    )
{%- endmacro %}

{#
  Whether no text in a record needs cleaning, seen from all of it at once: it has no escapes, no quote has a space beside
  it, and each character is ASCII or one of `plain_characters`.
#}
{% macro needs_no_cleaning(record) -%}
    not contains({{ record }}, '\') and not contains({{ record }}, ' "') and not contains({{ record }}, '" ')
        and case
            when strlen({{ record }}) = length({{ record }}) then true
            else not regexp_matches({{ record }}, '[^\x00-\x7f{{ plain_characters() }}]')
        end
{%- endmacro %}

{# The range of the characters beyond ASCII and up to U+02FF that stand for themselves in NFC and are not white space. #}
{% macro plain_characters() -%}
    \x{a1}-\x{2ff}
{%- endmacro %}

{# The values of an object's fields as texts, in its order. Numbers are as they are written: see `exact_texts`. #}
{% macro json_texts(record) -%}
    case
        when regexp_matches({{ record }}, '{{ inexact_number_pattern() }}') then {{ exact_texts(record) }}
        else json_extract_string({{ record }}, '$.*')
    end
{%- endmacro %}

{# A number that DuckDB would not give back as it is written, because it takes it through a double. #}
{% macro inexact_number_pattern() -%}
    [:\[,]\s*-?(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|0)\s*[,}\]]
{%- endmacro %}

{#
  The same values of a record with such a number: every number is made a text with a mark, and the mark is taken away
  again. The mark is the record's own hash, which no text in it can have.
#}
{% macro exact_texts(record) -%}
    list_transform(
        [md5({{ record }}) || ':'],
        lambda mark: list_transform(
            json_extract({{ numbers_marked(record, 'mark') }}, '$.*'),
            lambda value: case
                when json_type(value) in ('OBJECT', 'ARRAY')
                    then regexp_replace(cast(value as varchar), '"' || mark || '([^"]*)"', '\1', 'g')
                else replace(json_extract_string(value, '$'), mark, '')
            end
        )
    )[1]
{%- endmacro %}

{# A JSON text with every number a marked text: its tokens are texts, signs and words, of which numbers begin like one. #}
{% macro numbers_marked(record, mark) -%}
    array_to_string(
        list_transform(
            regexp_extract_all({{ record }}, '(?s)"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+'),
            lambda token: case
                when regexp_matches(token, '^[-0-9]') then '"' || {{ mark }} || token || '"' else token
            end
        ),
        ''
    )
{%- endmacro %}

{% macro sql_list(names) -%}
    ['{{ names | join("', '") }}']
{%- endmacro %}
