"""Embedded model servers, each a program of its own, started as a process, never imported by the service."""
