"""fast-plaid: a wheel built for another torch ends in one sentence, before anything of it is imported."""

import os
import subprocess
import sys

import numpy as np
import pytest

from engine import create_index
from engine.errors import InputError, MissingExtraError, UnsupportedError
from engine.indexes.foreign import check_package
from tests.conftest import ragged


def dist_info(folder, name, version, requires=()):
    target = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    target.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (target / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires), ""]))


def test_another_torch_is_one_sentence(tmp_path):
    dist_info(tmp_path, "torch", "9.9.0")
    dist_info(tmp_path, "fast-plaid", "1.7.0.2110", ["torch==2.11.0", 'pytest>=7; extra == "dev"'])
    code = (
        "import sys\nfrom engine import create_index\nfrom engine.errors import MissingExtraError\n"
        f"try:\n    create_index('fast-plaid', {str(tmp_path / 'i')!r})\n"
        "except MissingExtraError as error:\n    print(error)\n"
        "assert not any(name.startswith('fast_plaid') for name in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "fast-plaid 1.7.0.2110 needs torch==2.11.0, found torch 9.9.0" in ran.stdout
    assert 'pip install "late-interaction-workbench[fast-plaid]"' in ran.stdout
    assert not (tmp_path / "i").exists()


def test_a_local_build_of_the_right_torch_is_right(tmp_path, monkeypatch):
    dist_info(tmp_path, "torch", "2.11.0+cpu")
    dist_info(tmp_path, "some-index", "1.0", ["torch==2.11.0"])
    monkeypatch.syspath_prepend(str(tmp_path))
    check_package("some-index", "peers")


def test_a_missing_package_gives_the_install_command():
    with pytest.raises(MissingExtraError, match=r"no-such-index is not installed: .*\[peers\]"):
        check_package("no-such-index", "peers")


def test_too_few_documents_to_train_on(tmp_path):
    pytest.importorskip("fast_plaid")
    index = create_index("fast-plaid", tmp_path / "i")
    with pytest.raises(UnsupportedError, match="1 documents"):
        index.add(["a"], ragged(np.random.default_rng(0), [5], 16))
    assert len(index) == 0


def test_a_dimension_that_the_library_panics_at_is_refused(tmp_path):
    pytest.importorskip("fast_plaid")
    index = create_index("fast-plaid", tmp_path / "i")
    with pytest.raises(InputError, match=r"multiple of 8.*12"):
        index.add(["a", "b"], ragged(np.random.default_rng(0), [5, 5], 12))
    assert len(index) == 0


@pytest.mark.parametrize(("settings", "words"), [({"nbits": 3}, "1, 2, 4 or 8"), ({"device": "tpu"}, "cpu or cuda")])
def test_settings_that_make_no_sense(tmp_path, settings, words):
    pytest.importorskip("fast_plaid")
    with pytest.raises(InputError, match=words):
        create_index("fast-plaid", tmp_path / "i", **settings)
