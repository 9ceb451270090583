"""Long work with progress, done by worker processes.

Workers never open SQLite; what a job means lives with its worker.
"""
