"""`make test-bolt`: writes the recorded files anew with the real bbolt, and compares its reading with ours on more.

python -m tests.state.bolt.compare          needs Go, and a network that reaches a Go module proxy the first time
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from model_manager.errors import StateError
from model_manager.state.bolt import read_bolt
from tests.state.test_bolt import as_json, fingerprint

HERE = Path(__file__).parent
RANDOM_FILES = 200


def main() -> int:
    if (go := shutil.which("go")) is None:
        print("make test-bolt needs Go 1.23 or newer, and there is none on PATH.", file=sys.stderr)
        return 1
    with TemporaryDirectory() as folder:
        program = Path(folder) / "bolt"
        environment = {**os.environ, "GOFLAGS": "-buildvcs=false"}
        subprocess.run([go, "build", "-o", program, "."], cwd=HERE, env=environment, check=True)
        subprocess.run([program, "write", HERE / "recorded"], check=True)
        subprocess.run([program, "random", folder, str(RANDOM_FILES)], check=True)
        files = sorted([*Path(folder).glob("*.db"), *(HERE / "recorded").glob("*.db")])
        different = [path.name for path in files if not _same(path)]
        print(
            f"{len(files) - len(different)} of {len(files)} files that bbolt wrote were read as bbolt reads them."
        )
        refused = _refused_while_held(program, files[0])
    print("A file that bbolt has open was refused." if refused else "A file that bbolt has open was read!")
    return 1 if different or not refused else 0


def _same(path: Path) -> bool:
    before = fingerprint(path)
    ours = as_json(read_bolt(path))
    same: bool = ours == json.loads(path.with_suffix(".json").read_text())["buckets"]
    return same and fingerprint(path) == before


def _refused_while_held(program: Path, file: Path) -> bool:
    pipe = subprocess.PIPE
    with subprocess.Popen([program, "hold", file], stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        try:
            read_bolt(file)
        except StateError as error:
            return "is in use" in error.sentence
        finally:
            holder.stdin.close()
    return False


if __name__ == "__main__":
    sys.exit(main())
