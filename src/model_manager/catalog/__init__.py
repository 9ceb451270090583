"""What can be served: entries read from Git at a commit. Nothing here knows whether a model is installed or active."""
