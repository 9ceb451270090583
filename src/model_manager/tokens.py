"""Tokens that were issued: who may, for what and until when."""
