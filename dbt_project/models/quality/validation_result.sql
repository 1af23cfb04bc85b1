-- What the checks of this run found, to be appended.
select
    run_id, validated_at_utc, suite, expectation, title, column_name, severity, is_blocking, success,
    evaluated_count, unexpected_count, sample, docs_link
from {{ source('raw', 'validation_result') }}
