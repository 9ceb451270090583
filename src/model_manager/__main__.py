"""`python -m model_manager` is `model-manager`."""

import sys

from model_manager.cli import main

sys.exit(main())
