"""What runs a model in a browser, taken from the npm registry when a site is published, and kept for the next one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from engine.errors import CorruptDataError, MissingExtraError, NotFoundError
from engine.files import replace_bytes
from workbench.paths import data_folder

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # SHA-512
FILES = {"ort.js": "ort.wasm.bundle.min.mjs", "ort.wasm.gz": "ort-wasm-simd-threaded.wasm"}  # ours -> npm's
WITHOUT = "publish finished searches with --no-model"
PATIENCE = 600  # seconds


def runtime() -> dict[str, bytes]:
    """The files of the runtime, from this machine where they are kept, else through npm.

    Returns:
        Name -> content, the large one as gzip.

    Raises:
        MissingExtraError: npm is not on this machine.
        NotFoundError: npm cannot fetch it.
        CorruptDataError: what npm gave is not what was pinned.
    """
    folder = data_folder("publish") / f"{PACKAGE}-{VERSION}"
    wanted = {name: folder / name for name in FILES}
    if not all(path.is_file() for path in wanted.values()):
        _fetch(folder)
    return {f"vendor/{name}": path.read_bytes() for name, path in wanted.items()}


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            f"npm is not on this machine, and {PACKAGE} comes through it: install it (Debian: apt-get install npm), or "
            f"{WITHOUT}."
        )
    with tempfile.TemporaryDirectory(prefix="npm-") as place:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts"]
        try:
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False)
            told = done.stderr.strip().splitlines()
        except subprocess.TimeoutExpired:
            done, told = None, [f"no answer within {PATIENCE} s"]
        archives = list(Path(place).glob("*.tgz"))
        if done is None or done.returncode or not archives:
            why = next((line for line in told if line.strip()), "no reason given")
            raise NotFoundError(f"npm could not fetch {PACKAGE} {VERSION} ({why[:200]}): connect once, or {WITHOUT}.")
        keep(archives[0], folder)


def keep(archive: Path, folder: Path) -> None:
    """Check an archive of npm and keep the files of it that a site needs.

    Args:
        archive: A .tgz.
        folder: Where they are kept.

    Raises:
        CorruptDataError: it is not what was pinned.
    """
    content = archive.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != INTEGRITY:
        raise CorruptDataError(
            f"Expected {PACKAGE} {VERSION} with sha512-{INTEGRITY[:12]}..., got sha512-{found[:12]}...: use "
            "another registry."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as opened:
        for name, theirs in FILES.items():
            stream = opened.extractfile(f"package/dist/{theirs}")
            assert stream is not None
            data = stream.read()
            replace_bytes(folder / name, gzip.compress(data, 9, mtime=0) if name.endswith(".gz") else data)
