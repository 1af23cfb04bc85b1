"""`audit password`: an entry for the file of the report's users."""

from __future__ import annotations

import click

from activity_audit.cli.output import as_json, say


@click.command("password")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="viewer, analyst, auditor, admin, or a permission; may be repeated.  [default: viewer]",
)
def command(name: str, roles: tuple[str, ...]) -> None:
    """Print an entry of AUDIT_REPORT_USERS_FILE.

    It asks for the password, or reads it from standard input.
    """
    from activity_audit.report.access.permissions import ROLES
    from activity_audit.report.access.users import hashed

    chosen = list(dict.fromkeys(roles)) or ["viewer"]
    if unknown := [role for role in chosen if role not in ROLES]:
        raise click.UsageError(f"there is no role {', '.join(unknown)}; the roles are {', '.join(ROLES)}")
    stdin = click.get_text_stream("stdin")
    if stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = stdin.readline().rstrip("\r\n")
    try:
        known = hashed(password)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    # Text and lists of JSON are those of TOML.
    say(f"[users.{as_json(name)}]")
    say(f"password = {as_json(known)}")
    say(f"roles = {as_json(chosen)}")
