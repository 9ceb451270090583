"""Model Manager: decides which model is being served, and makes it so. Nothing but rooms may live at this level."""

__version__ = "0.2.0"
"""That of pyproject.toml (a test holds them together). Reading the installed metadata would slow every start."""
