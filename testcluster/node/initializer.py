"""KServe's storage initializer, scripted: `storage-initializer hf://ORG/NAME[:REVISION] TARGET [URI TARGET …]`.

The Hub is a folder, `TEST_HUB`; what is not in it does not exist. A repository with a file `.gated` is fetched by who
has in HF_TOKEN what that file says.
"""

import os
import shutil
import sys
from pathlib import Path


def main() -> int:
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    for uri, target in pairs:
        scheme, _, rest = uri.partition("://")
        repository = rest.partition(":")[0]
        source = Path(os.environ["TEST_HUB"], repository)
        print(f"INFO Copying contents of {uri} to local", flush=True)
        if scheme != "hf" or not source.is_dir():
            print(
                "huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error. Repository Not Found for url: "
                f"https://huggingface.co/api/models/{repository}/revision/main.",
                file=sys.stderr,
            )
            return 1
        gate = source / ".gated"
        if gate.is_file() and os.environ.get("HF_TOKEN") != gate.read_text():
            print(
                "huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url "
                f"https://huggingface.co/{repository}/resolve/main/config.json.",
                file=sys.stderr,
            )
            return 1
        shutil.copytree(source, target, dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
