{#
  The materialisations of what is in the scratch database only. It is empty when a run begins, so that
  nothing there has to be looked for, renamed or dropped; dbt-duckdb's own do that, and it takes longer than the SQL.
#}
{% materialization table, adapter='duckdb' %}
    {{ return(create_in_scratch('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(create_in_scratch('view')) }}
{% endmaterialization %}

{% macro create_in_scratch(kind) %}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        create or replace {{ kind }} {{ this }} as (
            {{ sql }}
        )
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type=kind)]}) }}
{% endmacro %}
