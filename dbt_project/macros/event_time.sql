{#
  Event times. Understood: ISO 8601 date and time, extended or basic, with a fraction of any length (cut to the
  microsecond), 24:00, a leap second, and `Z`, `UTC`, `GMT`, an offset or nothing; and, in a column that declares UTC,
  also `M/D/YYYY h:mm:ss AM`, with a fraction or without seconds, and on the 24-hour clock where it has no AM or PM.
#}
{% macro iso_time_pattern() -%}
    ^(?:(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2})(?::(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?|(\d{4})(\d{2})(\d{2})[Tt](\d{2})(?:(\d{2})(?:(\d{2})(?:[.,](\d+))?)?)?)[ ]?([Zz]|[Uu][Tt][Cc]|[Gg][Mm][Tt]|[+-]\d{2}(?::?[0-5]\d)?)?$
{%- endmacro %}

{% macro report_time_pattern() -%}
    ^(\d{1,2})/(\d{1,2})/(\d{4}),? (\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(?:[ \x{202f}\x{00a0}]([AaPp])\.?[Mm]\.?)?(?: ?(?:[Uu][Tt][Cc]|[Gg][Mm][Tt]))?$
{%- endmacro %}

{# The usual form, which DuckDB's own cast reads, and faster: date, time, at most six digits, Z. #}
{% macro usual_time_pattern() -%}
    \d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z
{%- endmacro %}

{# The time of a text in the usual form, which names UTC; null for any other text. #}
{% macro parse_usual_time(text) -%}
    case when regexp_full_match({{ text }}, '{{ usual_time_pattern() }}') then try_cast({{ text }} as timestamp) end
{%- endmacro %}

{#
  The parsed time as a struct: `local` (timestamp as written), `offset_minutes` (null where no zone is named).
  Null where the text is no time that we understand.
#}
{% macro parse_event_time(text, declares_utc) -%}
    case
        when regexp_matches({{ text }}, '{{ iso_time_pattern() }}')
            then {{ time_of_parts(iso_time_parts(text)) }}
        when {{ declares_utc }} and regexp_matches({{ text }}, '{{ report_time_pattern() }}')
            then {{ time_of_parts(report_time_parts(text)) }}
    end
{%- endmacro %}

{% macro iso_time_parts(text) -%}
    list_transform([regexp_extract({{ text }}, '{{ iso_time_pattern() }}', [
        'y', 'm', 'd', 'h', 'i', 's', 'f', 'by', 'bm', 'bd', 'bh', 'bi', 'bs', 'bf', 'z'
    ])], lambda p: {
        'date': p.y || p.by || '-' || p.m || p.bm || '-' || p.d || p.bd,
        'hour': cast(p.h || p.bh as integer),
        'minute': coalesce(try_cast(p.i || p.bi as integer), 0),
        'second': coalesce(try_cast(p.s || p.bs as integer), 0),
        'microsecond': cast(rpad(left(p.f || p.bf, 6), 6, '0') as integer),
        'offset_minutes': case
            when p.z = '' then null
            when upper(p.z) in ('Z', 'UTC', 'GMT') then 0
            else cast(p.z[1] || '1' as integer) * (
                cast(p.z[2:3] as integer) * 60 + coalesce(try_cast(replace(p.z[4:], ':', '') as integer), 0)
            )
        end
    })[1]
{%- endmacro %}

{% macro report_time_parts(text) -%}
    list_transform([regexp_extract({{ text }}, '{{ report_time_pattern() }}', [
        'm', 'd', 'y', 'h', 'i', 's', 'f', 'half'
    ])], lambda p: {
        'date': p.y || '-' || lpad(p.m, 2, '0') || '-' || lpad(p.d, 2, '0'),
        'hour': case
            when p.half = '' then cast(p.h as integer)
            when cast(p.h as integer) between 1 and 12
                then cast(p.h as integer) % 12 + case when upper(p.half) = 'P' then 12 else 0 end
            else 99
        end,
        'minute': cast(p.i as integer),
        'second': coalesce(try_cast(p.s as integer), 0),
        'microsecond': cast(rpad(left(p.f, 6), 6, '0') as integer),
        'offset_minutes': cast(null as integer)
    })[1]
{%- endmacro %}

{# No time: an impossible date, an hour after 24:00:00, a minute over 59, a second over a leap second's 60. #}
{% macro time_of_parts(parts) -%}
    list_transform([{{ parts }}], lambda t: case
        when try_cast(t.date as date) is not null and t.date >= '0001-01-01'
            and (t.hour <= 23 or (t.hour = 24 and t.minute = 0 and t.second = 0 and t.microsecond = 0))
            and t.minute <= 59
            and (t.second <= 59 or (t.second = 60 and t.minute = 59))
            and coalesce(abs(t.offset_minutes), 0) < 24 * 60
            then {
                'local': cast(t.date as timestamp) + to_hours(t.hour) + to_minutes(t.minute)
                + to_microseconds(t.second * 1000000 + t.microsecond),
                'offset_minutes': t.offset_minutes
            }
    end)[1]
{%- endmacro %}
