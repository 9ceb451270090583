"""A noun's group of commands: `model-manager jobs` alone means `model-manager jobs list`."""

from typing import Any

import typer
from typer.core import TyperGroup


def noun(name: str, summary: str, default: str = "list") -> typer.Typer:
    """A group whose command `default` is meant when none is named."""

    class Noun(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            # Tab after the noun is to offer its commands, not the options of one.
            alone = not args and not ctx.resilient_parsing
            if alone or (args and args[0].startswith("-") and args[0] not in ctx.help_option_names):
                args = [default, *args]
            return super().parse_args(ctx, args)

    return typer.Typer(name=name, help=summary, cls=Noun, rich_markup_mode=None)
