"""`python -m testcluster.node SETTINGS.json`"""

import asyncio
import sys
from pathlib import Path

from testcluster.api import Api
from testcluster.node.program import Machines, Settings


async def main(file: Path) -> None:
    settings = Settings.read(file)
    async with Api(settings.url, settings.ca, settings.token) as api:
        await Machines(settings, api).run()


asyncio.run(main(Path(sys.argv[1])))
