{#
  `record_sha256`: the SHA-256, in lower-case hexadecimal, of an event's nine normalised fields, in the order of
  the feed contract. Each field is written as its length in bytes, a colon and its UTF-8 text, and a null as `-`;
  the nine are joined by commas. The time is written as `YYYY-MM-DDTHH:MM:SS.ffffffZ`. So no two different
  events have the same text, and anyone can compute the hash without this code. `time_text` is the time written so, for
  where DuckDB would write it more than once: within a CASE.
#}
{% macro record_sha256(relation_alias='', time_text=none, application='application') -%}
    sha256({{ record_text(relation_alias, time_text, application=application) }})
{%- endmacro %}

{#
  The text that an event's hash is taken of. `of_files` writes it for the columns of Parquet files, of which some have few
  values: what is a function of such a column alone, DuckDB computes once for each value in the file's dictionary.
#}
{% macro record_text(relation_alias='', time_text=none, of_files=false, application='application') -%}
    {%- set at = relation_alias ~ '.' if relation_alias else '' -%}
    {%- set few = [application, 'entity', 'activity', 'triggered_by', 'outcome', 'comments'] if of_files else [] -%}
    concat(
        {%- for field in [application, 'entity', 'activity'] %}
        {{ hashed_value(at ~ field) if field in few else hashed_field(at ~ field) }}, ',',
        {%- endfor %}
        {{ hashed_field(time_text or hashed_time(at ~ 'event_time_utc')) }}, ',',
        {%- for field in ['event_id', 'triggered_by', 'instance', 'outcome', 'comments'] %}
        {{ hashed_value(at ~ field) if field in few else hashed_field(at ~ field) }}{{ ", ','," if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# A time as it is hashed. #}
{% macro hashed_time(expression) -%}
    strftime({{ expression }}, '%Y-%m-%dT%H:%M:%S.%fZ')
{%- endmacro %}

{# The parts of a field's text. Put together once, by the one `concat`, which leaves nulls out: half the time. #}
{% macro hashed_field(expression) -%}
    strlen({{ expression }}), if({{ expression }} is null, '-', ':'), {{ expression }}
{%- endmacro %}

{# The same as one text, and as a function of the field alone, though the field is in it three times. #}
{% macro hashed_value(expression) -%}
    list_transform([{{ expression }}], lambda value: concat({{ hashed_field('value') }}))[1]
{%- endmacro %}

{# Whether two events have the same content: all of the nine normalised fields. #}
{% macro same_content(left, right) -%}
    (
        {%- for field in ['event_id', 'event_time_utc', 'application', 'entity', 'activity', 'outcome', 'triggered_by', 'instance', 'comments'] %}
        {{ left }}.{{ field }} is not distinct from {{ right }}.{{ field }}{{ ' and' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}
