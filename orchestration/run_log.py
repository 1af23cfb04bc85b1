"""The log of a run on standard error as JSON, where AUDIT_LOG=json."""

import logging
import sys

import dagster as dg

from activity_audit.base.json_log import JsonFormatter


@dg.logger(
    {
        "log_level": dg.Field(str, is_required=False, default_value="INFO"),
        "name": dg.Field(str, is_required=False, default_value="dagster"),
    },
    description="Writes a JSON object a line to standard error.",
)
def json_console(context: dg.InitLoggerContext) -> logging.Logger:
    """In place of Dagster's coloured one."""
    logger = logging.Logger(context.logger_config["name"], context.logger_config["log_level"])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    return logger
