{#
  The key of an event id in `quality.known_event_id`: the first six bytes of the MD5 of its UTF-8, as a number whose
  lowest byte is the first. DuckDB's own hash() may change with its version. Two ids may have one key, so it only says
  where in the fact to look.
#}
{% macro event_id_key(event_id) -%}
    cast(md5_number({{ event_id }}) & 281474976710655 as bigint)
{%- endmacro %}
