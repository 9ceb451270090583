"""What several threads do for the first time at once: a start reads the catalog, rows and manifests in parallel."""

import subprocess
import sys
from pathlib import Path

import pytest

DECODE = """
import sys, threading
from pathlib import Path
import msgspec
from model_manager.catalog.entry import Entry
from model_manager.catalog.parse import parse
from model_manager.serving import ledger
from model_manager.weights.installed import read_manifest

folder = Path(sys.argv[1])
entry = b'{"id": "a", "source": {"uri": "file:x", "files": [{"path": "a"}]}, "env": [{"name": "A", "value": "b"}]}'
columns = {"entry": entry, "manifest": "{}", "log_tail": "[]", "evidence": "{}"}
row = [columns.get(name) for name in ledger._FIELDS]
work = {
    "entries": [lambda: parse(entry, "models/a.json"), lambda: ledger._row(row)],
    "manifests": [lambda: read_manifest(folder)],
}[sys.argv[2]]
gate = threading.Barrier(4)

def at_once(number):
    act = work[number % len(work)]
    gate.wait()
    act()

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=at_once, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("what", ["entries", "manifests"])
def test_first_decoding_in_several_threads_at_once(what: str, tmp_path: Path) -> None:
    (tmp_path / ".weights.json").write_text(
        '{"folder": "a", "source": {}, "revision": "", "entry": null, "size": 1, "installedAt": "",'
        ' "installedBy": "", "files": [{"path": "a", "size": 1, "sha256": ""}]}'
    )
    command = [sys.executable, "-c", DECODE, str(tmp_path), what]
    for _ in range(6):  # each crashed one time in two before
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
