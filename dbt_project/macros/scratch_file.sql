{#
  The materialisation of what is large and read often, and never changed: a Parquet file beside the scratch database,
  and a view of it in there. Writing it takes a third of the time of a table, without compression, which would make it
  a fifth smaller and take half as long again. A column of many values gets no dictionary, which would be made in vain and
  take half as long again, too. A scratch database in memory has a table.
#}
{% materialization scratch_file, adapter='duckdb' %}
    {%- set path = scratch_path() -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        {%- if path %}
        copy ({{ sql }}) to '{{ path }}.{{ this.identifier }}.parquet'
        (format parquet, compression uncompressed, dictionary_size_limit 4000)
        {%- else %}
        create or replace table {{ this }} as ({{ sql }})
        {%- endif %}
    {%- endcall %}
    {%- if path %}
    {% call statement('view') -%}
        {#- A folder named `feed=x` above it must give it no column. #}
        create or replace view {{ this }} as
        select * from read_parquet('{{ path }}.{{ this.identifier }}.parquet', hive_partitioning = false)
    {%- endcall %}
    {%- endif %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='view' if path else 'table')]}) }}
{% endmaterialization %}

{# Where the scratch database is, as the inside of an SQL text; nothing where it is in memory. #}
{% macro scratch_path() -%}
    {%- set found = run_query("select path from duckdb_databases() where database_name = 'work'") -%}
    {{ return((found.rows[0][0] or '') | replace("'", "''")) }}
{%- endmacro %}
