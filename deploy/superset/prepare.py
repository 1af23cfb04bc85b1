"""Prepare Superset's state: the user admin, and the bundle of dashboards with the path of this warehouse."""

import os
import shutil
from pathlib import Path

from superset.app import create_app

state = Path(os.environ["SUPERSET_HOME"])
bundle = state / "bundle"
shutil.rmtree(bundle, ignore_errors=True)
shutil.copytree(Path(__file__).parent / "bundle", bundle)
database = bundle / "databases/Activity_audit.yaml"
database.write_text(database.read_text().replace("/path/to/var", os.environ["AUDIT_HOME"]))
shutil.make_archive(str(bundle), "zip", state, bundle.name)

with (app := create_app()).app_context():
    users = app.appbuilder.sm
    # Here, and not by a command, whose arguments every user of this machine could read.
    if not users.find_user("admin"):
        users.add_user(
            "admin", "Audit", "Admin", "admin@localhost", users.find_role("Admin"),
            password=os.environ["SUPERSET_ADMIN_PASSWORD"],
        )  # fmt: skip
