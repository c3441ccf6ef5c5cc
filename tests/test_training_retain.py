"""The teacher itself loses nothing by the terms that keep what it knows."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from types import SimpleNamespace  # noqa: E402

from ultralytics.nn.tasks import DetectionModel  # noqa: E402

from training.boxes import CLASSES, FACE  # noqa: E402
from training.retain import KEPT, RetainingLoss  # noqa: E402

SIZE = 64


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    torch.manual_seed(0)
    network = DetectionModel("yolov8n.yaml", nc=len(CLASSES), verbose=False)
    network.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    return network.eval()


def loss_against_itself(model: DetectionModel, shift: float, classes: list[int]) -> dict:
    """The logged terms with a teacher that differs from the student by `shift` in its logits."""
    images = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        raw = model(images)[1]
    probabilities = (raw["scores"][:, :KEPT] + shift).sigmoid().transpose(1, 2)
    distances = raw["boxes"].transpose(1, 2)
    batch = {
        "img": images,
        "batch_idx": torch.zeros(len(classes)),
        "cls": torch.tensor(classes, dtype=torch.float32),
        "bboxes": torch.tensor([[0.5, 0.5, 0.5, 0.5]] * len(classes)).view(-1, 4),
    }
    terms, items = RetainingLoss(model, lambda _: (probabilities, distances)).loss(raw, batch)
    assert torch.isfinite(terms).all()
    return {name: float(value) for name, value in items.items()}


def test_a_student_that_answers_like_its_teacher_has_nothing_to_learn(model) -> None:
    items = loss_against_itself(model, 0.0, [])
    assert items["kept_loss"] == pytest.approx(0, abs=1e-3)
    assert items["kept_box_loss"] == pytest.approx(0, abs=1e-3)
    assert items["box_loss"] == 0


def test_a_different_teacher_is_a_loss(model) -> None:
    assert loss_against_itself(model, 5.0, [])["kept_loss"] > 0.01


def test_only_new_classes_learn_their_boxes_from_labels(model) -> None:
    assert loss_against_itself(model, 0.0, [0])["box_loss"] == 0
    assert loss_against_itself(model, 0.0, [FACE])["box_loss"] > 0
