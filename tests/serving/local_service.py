"""A service that is to be killed: `python -m tests.serving.local_service ROOT BEHAVIOUR…` runs one local slot.

Prints the model server's process id once it is ready, and again after each switch it is told to make by a line on its
standard input. At the end of its input it closes the platform.
"""

import asyncio
import sys
from pathlib import Path

from tests.serving import ground


async def main(root: Path, behaviours: list[str]) -> None:
    runtimes = {"scripted": ground.runtime("scripted", *behaviours)}
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with ground.local_platform(root, runtimes) as platform:
        await platform.recover()
        number = 0
        while True:
            activation = f"activation-{number}"
            await platform.apply(ground.manifest("scripted", activation=activation))

            def is_up(one: ground.Instance, activation: str = activation) -> bool:
                return one.ready and one.activation == activation

            print((await ground.instance_when(platform, is_up)).pid, flush=True)
            if not await lines.readline():
                return
            number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
