"""The networks compute the same on processors without AVX-512."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.models.openvino_faults import has_avx512
from app.models.plates.networks import RECOGNISER

READ = """
import sys
from pathlib import Path
import numpy as np
from app.models.openvino_runtime import OpenVinoNetwork
crop = np.random.default_rng(0).integers(0, 255, (1, 48, 320, 3)).astype(np.uint8)
np.savez(sys.argv[2], *OpenVinoNetwork(Path(sys.argv[1])).infer(crop))
"""


@pytest.mark.skipif(not has_avx512(), reason="this processor has no AVX-512 to compare with")
def test_plates_are_read_alike_without_avx512(tmp_path: Path) -> None:
    results = []
    for isa in ("DEFAULT", "AVX2"):  # in processes of their own: OpenVINO reads it once
        file = tmp_path / f"{isa}.npz"
        command = [sys.executable, "-c", READ, str(RECOGNISER), str(file)]
        subprocess.run(command, check=True, env={**os.environ, "ONEDNN_MAX_CPU_ISA": isa})
        with np.load(file) as arrays:
            results.append([arrays[name] for name in arrays.files])
    for with_avx512, without in zip(*results, strict=True):
        np.testing.assert_allclose(without, with_avx512, atol=0.02)


def test_a_restriction_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert not has_avx512()
