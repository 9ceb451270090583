"""The platform of one machine: runs a rendered InferenceService as a child process. Decides nothing about models."""
