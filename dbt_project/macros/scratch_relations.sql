{#
  The materialisations of the scratch database: a table and a view that are made in place. dbt's `table` and `view`
  make each under another name, rename it, and drop what had its name, so that others may read on meanwhile. A scratch
  database has no other reader, and nothing in it when a run begins. By hand, what an earlier build left is dropped first.
#}
{% materialization scratch_table, adapter='duckdb' %}
    {{ return(made_in_place('table', create_table_as(False, this, sql))) }}
{% endmaterialization %}

{% materialization scratch_view, adapter='duckdb' %}
    {{ return(made_in_place('view', create_view_as(this, sql))) }}
{% endmaterialization %}

{% macro made_in_place(type, create) %}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') %}{{ create }}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
{% endmacro %}
