"""The management API: one file per noun; each route parses, calls one command or reader, and shapes a typed reply."""
