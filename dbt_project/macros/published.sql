{#
  The materialisation of every public table and view. The model's rows are staged in the scratch database
  `work`, under the schema and name that the public relation has in `audit`; there the checks look at them, and
  `activity_audit.publish.publish` then brings the staged rows of all models into the warehouse in one transaction.

  What is done with them is the model's `meta.publish`:
    append           the rows are added
    upsert           the rows replace those with the same `meta.publish_key`
    replace          the rows are the whole new table
    view             the model's SQL becomes a view of the warehouse
  The columns of `meta.staged_only` are for the checks and the ledger, and are not published. What a run adds is staged
  as a view, or with `meta.staged_as: table` as a table: for rows that are few, are read often and take long to find.
#}
{% materialization published, adapter='duckdb' %}
    {%- set staged = staged_relation(this) -%}
    {%- set strategy = config.require('meta').publish -%}
    {{ run_hooks(pre_hooks) }}
    {%- if config.get('contract').enforced -%}
        {%- set hidden = config.require('meta').get('staged_only') -%}
        {{ get_assert_columns_equivalent(
            "select * exclude (" ~ hidden | join(', ') ~ ") from (" ~ sql ~ ")" if hidden else sql
        ) }}
    {%- endif -%}
    {% call statement('main') -%}
        {# A table too where publishing reads the public table that it is about to change. #}
        {%- set kind = 'table' if strategy in ('upsert', 'replace') else config.require('meta').get('staged_as', 'view') %}
        create or replace {{ kind }} {{ staged }} as (
            {{ sql }}
        )
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': []}) }}
{% endmaterialization %}

{#
  Where the rows of a published model are staged: `staged(ref('fact_activity_event'))`. The mocked input of a unit
  test is no relation of the database `audit`, and stays what it is.
#}
{% macro staged_relation(relation) -%}
    {%- if relation.database != 'audit' -%}{{ return(relation) }}{%- endif -%}
    {{ return(api.Relation.create(database='work', schema=relation.schema, identifier=relation.identifier)) }}
{%- endmacro %}

{% macro staged(relation) -%}
    {{ staged_relation(relation) }}
{%- endmacro %}

{#
  What is staged for a schema of the warehouse is in the schema of that name in `work`; those of the warehouse itself are
  made when it is published, and dbt by hand has it read-only.
#}
{% macro duckdb__list_schemas(database) -%}
    {{ return(run_query("select schema_name from duckdb_schemas() where database_name = 'work'")) }}
{%- endmacro %}

{% macro duckdb__create_schema(relation) -%}
    {%- call statement('create_schema') -%}
        create schema if not exists work.{{ relation.schema }}
    {%- endcall -%}
{%- endmacro %}
