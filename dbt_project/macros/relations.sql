{#
  How dbt looks for what is there. dbt-duckdb asks DuckDB's information schema, which opens the catalog of every attached
  database, of the published warehouse too, and counts its tables: 50 ms of CPU for each schema. A run begins with an
  empty scratch database, and says so by `--no-populate-cache`.
#}
{% macro duckdb__list_relations_without_caching(schema_relation) %}
    {%- if not invocation_args_dict.get('populate_cache', true) -%}
        {{ return([]) }}
    {%- endif -%}
    {{ return(dbt.duckdb__list_relations_without_caching(schema_relation)) }}
{% endmacro %}

{# dbt-duckdb compares with the quoted name of the database, finds no schema, and makes each of them again. #}
{% macro duckdb__list_schemas(database) %}
    {{ return(run_query(
        "select schema_name from duckdb_schemas() where database_name = '" ~ (database | replace('"', '')) ~ "'"
    )) }}
{% endmacro %}
