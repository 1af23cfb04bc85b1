select
    event_time_utc as "Event Time (UTC)",
    event_id as "Event ID",
    triggered_by as "Triggered By",
    entity as "Entity",
    instance as "Instance",
    activity as "Activity",
    outcome as "Outcome",
    application as "Application",
    comments as "Comments"
from {{ ref('fact_activity_event') }}
