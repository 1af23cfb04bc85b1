{#
  By how much the records that replays resolved change the counts of their deliveries: a resolved record is in
  quarantine no more. The same sums are made in Python for `audit verify`: activity_audit.evidence.verify.check_tables.
#}
{% macro resolved_counts() -%}
    count(*) filter (disposition = 'accepted') as accepted,
    count(*) filter (disposition = 'duplicate') as duplicate,
    - count(*) as quarantined,
    count(*) filter (offset_normalised) as offset_normalised,
    count(*) filter (late) as late
{%- endmacro %}
