{#- Texts by name in one, for people: of very many the first, since a manifest may name a hundred thousand files. -#}
{%- macro told(text) -%}
    array_to_string(list(left({{ text }}, 1000) order by name)[:100], '; ')
    || if(count(*) > 100, '; and ' || (count(*) - 100) || ' more', '')
{%- endmacro %}
