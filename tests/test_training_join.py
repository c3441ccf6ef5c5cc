"""The joined network gives exactly the original network's results for COCO's classes.

Tests import torch themselves: it takes seconds and memory in each process that collects tests.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.boxes import CLASSES, COCO_CLASSES, NEW_CLASSES

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "ultralytics")),
    reason="torch and ultralytics are not installed",
)
NAMES = [*COCO_CLASSES, "stop sign", "face", "cigarette"]


def random_network(path: Path, seed: int) -> Path:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(seed)
    network = DetectionModel("yolov8n.yaml", nc=len(NAMES), verbose=False)
    network.names = dict(enumerate(NAMES))
    torch.save({"model": network.half(), "train_args": {}}, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    from training.start import branch

    folder = tmp_path_factory.mktemp("networks")
    coco = random_network(folder / "coco.pt", 0)
    branch(coco, random_network(folder / "earlier.pt", 1), folder / "branch.pt")
    return coco, folder / "branch.pt"


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    import torch

    with torch.no_grad():
        yield


def test_the_coco_branch_is_the_coco_network(files: tuple[Path, Path]) -> None:
    import torch

    from training.join import Joined
    from training.network import checkpoint

    images = torch.rand(2, 3, 64, 96)
    whole = checkpoint(files[0])[0](images)[0]
    joined = Joined(*files)(images)
    first, second = joined.split((whole.shape[2], 8 * 12 + 4 * 6 + 2 * 3), 2)
    assert joined.shape[1] == 4 + len(CLASSES)
    assert torch.equal(first[:, : 4 + len(COCO_CLASSES)], whole[:, : 4 + len(COCO_CLASSES)])
    assert not first[:, -len(NEW_CLASSES) :].any()
    assert not second[:, 4:-3].any()
    assert second[:, -3:].any()


def test_only_cigarette_boxes_are_enlarged(files: tuple[Path, Path], tmp_path: Path) -> None:
    import torch

    from training.join import CIGARETTE_SCALE, Joined
    from training.network import checkpoint

    content = torch.load(files[1], weights_only=False)
    for scale, bias in zip(content["model"].model[-1].cv3, (5, -30, -30), strict=True):
        scale[-1].bias.data[2] = bias  # small objects are cigarettes
    torch.save(content, tmp_path / "smoker.pt")
    images = torch.rand(1, 3, 64, 96)
    seen = checkpoint(tmp_path / "smoker.pt")[0](images)[0]
    joined = Joined(files[0], tmp_path / "smoker.pt")(images)[..., -seen.shape[2] :]
    assert torch.equal(joined[:, -3:], seen[:, 4:])
    assert torch.equal(joined[:, :2], seen[:, :2])
    factor = torch.where(seen[:, 4:].argmax(1, keepdim=True) == 2, CIGARETTE_SCALE, 1.0)
    assert 0 < (factor > 1).sum() < factor.numel()
    assert torch.allclose(joined[:, 2:4], seen[:, 2:4] * factor)


def test_a_branch_that_trained_the_shared_layers_is_refused(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    import torch

    from training.join import Joined

    content = torch.load(files[1], weights_only=False)
    content["model"].model[0].conv.weight.data += 1
    torch.save(content, tmp_path / "trained.pt")
    with pytest.raises(ValueError, match="shared layers"):
        Joined(files[0], tmp_path / "trained.pt")
