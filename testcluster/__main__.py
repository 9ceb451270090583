"""`python -m testcluster`: build the cluster's programs, and print where they are."""

import sys

from testcluster.build import CannotBuild, programs
from testcluster.cluster import say


def main() -> int:
    try:
        print(programs(say))
    except CannotBuild as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
