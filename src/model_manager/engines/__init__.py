"""Embedded model servers, each a program of its own, started as a process and never imported by the service."""
