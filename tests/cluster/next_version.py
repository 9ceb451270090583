"""`model-manager` as a later version might be: the same, with one more step of the schema."""

import sys

from model_manager.cli import main
from model_manager.state import migrations

if __name__ == "__main__":
    known = migrations.packaged()
    later = migrations.Migration(known[-1].version + 1, "CREATE TABLE of_the_next_version (id INTEGER)")
    migrations.packaged = lambda: (*known, later)
    sys.exit(main())
