"""Train an additional head for ``plate_text`` on drawn plates.

    python -m training.plate_head draw FOLDER SOURCE.xml --fonts FOLDER... --seed 1  # and others
    python -m training.plate_head fit FOLDER        # writes FOLDER/head.pt; keep it as head1.pt
    python -m training.plate_head export FOLDER SOURCE.xml app/models/weights/plate_text.xml

SOURCE.xml is the output of ``training.text``. All ``head*.pt`` in the folder are averaged.

PP-OCRv6's recogniser stays unchanged; the features before its last layer also go through two small
convolutions over time, whose output is added to its own. They are initialised to output zero.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from app.models.plates.ctc import ALPHABET
from app.models.plates.recogniser import padded_strip
from training.draw_plates import draw, fonts

FEATURES, HIDDEN, REACH = 120, 96, 5
LEAST = 1e-4
CHUNK = 1000
Floats = npt.NDArray[np.float32]


def features_of(model: ov.Model) -> ov.Output:
    """Return the input (N, 120, T) of the last layer, found by its type and not by its name."""
    for op in model.get_ordered_ops():
        if op.get_type_name() == "Squeeze":
            found = op.output(0)
            if found.get_partial_shape().rank.get_length() == 3:
                return found
    raise ValueError("this file is not the recogniser")


def draw_all(folder: Path, source: Path, font_folders: list[Path], count: int, seed: int) -> None:
    """Draw lines and write files of 1000: features (float16), network outputs, and texts."""
    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1})
    model = core.read_model(source)
    model = ov.Model([features_of(model), model.output(0)], model.get_parameters(), "features")
    model.reshape([1, 3, 48, -1])
    network = core.compile_model(model, "CPU")
    faces, rng = fonts(font_folders), np.random.default_rng(seed)
    print(f"{len(faces)} fonts")
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(0, count, CHUNK):
        started, features, answers, texts = time.monotonic(), [], [], []
        for _ in range(CHUNK):
            strip, text = draw(rng, faces)
            blob = padded_strip(strip).transpose(2, 0, 1)[None].astype(np.float32)
            feature, answer = network(blob).values()
            features.append(feature[0].astype(np.float16))
            answers.append(answer[0].astype(np.float16))
            texts.append(text)
        held = {f"f{i}": f for i, f in enumerate(features)} | {
            f"a{i}": a for i, a in enumerate(answers)
        }
        np.savez(folder / f"{seed}_{at}.npz", texts=texts, **held)
        print(f"{at + CHUNK} in {time.monotonic() - started:.0f} s", flush=True)


def load(folder: Path) -> list[tuple[Floats, Floats, str]]:
    """Read all drawn lines: features, network outputs, and texts."""
    items = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as held:
            texts = held["texts"]
            items += [(held[f"f{i}"], held[f"a{i}"], str(t)) for i, t in enumerate(texts)]
    return items


def head() -> Any:
    """Create the additional head, which outputs zero at first."""
    from torch import nn

    last = nn.Conv1d(HIDDEN, 1 + len(ALPHABET), 1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv1d(FEATURES, HIDDEN, REACH, padding=REACH // 2), nn.SiLU(), nn.Dropout(0.1), last
    )


def fit(folder: Path, passes: int, rate: float) -> None:
    """Train the head, print its accuracy on held-out lines, and write head.pt."""
    import torch
    from torch.nn import functional

    items = load(folder)
    held_out, items = items[::20], [item for i, item in enumerate(items) if i % 20]
    net = head()
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.02)
    rng, size = np.random.default_rng(0), 64
    steps = passes * (len(items) // size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def batch(some: list[tuple[Floats, Floats, str]]) -> tuple[Any, ...]:
        longest = max(f.shape[1] for f, _, _ in some)
        feats = torch.zeros(len(some), FEATURES, longest)
        own = torch.full((len(some), longest, 1 + len(ALPHABET)), LEAST)
        own[..., 0] = 1
        for i, (f, a, _) in enumerate(some):
            feats[i, :, : f.shape[1]] = torch.from_numpy(f.astype(np.float32))
            own[i, : a.shape[0]] = torch.from_numpy(a.astype(np.float32))
        lengths = torch.tensor([f.shape[1] for f, _, _ in some])
        truth = [[1 + ALPHABET.index(c) for c in t] for _, _, t in some]
        target = torch.tensor([c for t in truth for c in t])
        return feats, torch.log(own + LEAST), lengths, target, torch.tensor([len(t) for t in truth])

    def report(name: str) -> None:
        net.eval()
        right = {"original": 0, "with head": 0}
        with torch.no_grad():
            for at in range(0, len(held_out), size):
                some = held_out[at : at + size]
                feats, own, lengths, _, _ = batch(some)
                with_head = own + net(feats).transpose(1, 2)
                for kind, scores in (("original", own), ("with head", with_head)):
                    for i, (_, _, text) in enumerate(some):
                        right[kind] += _greedy(scores[i, : lengths[i]].argmax(-1).tolist()) == text
        net.train()
        shares = {kind: f"{100 * n / len(held_out):.1f} %" for kind, n in right.items()}
        print(name, shares, flush=True)

    report("before")
    for turn in range(passes):
        order, losses = rng.permutation(len(items)), []
        for at in range(0, len(items) - size + 1, size):
            feats, own, lengths, target, sizes = batch([items[i] for i in order[at : at + size]])
            scores = functional.log_softmax(own + net(feats).transpose(1, 2), -1)
            loss = functional.ctc_loss(
                scores.transpose(0, 1), target, lengths, sizes, zero_infinity=True
            )
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss))
        report(f"pass {turn + 1} loss {np.mean(losses):.3f}")
        torch.save(net.state_dict(), folder / "head.pt")


def _greedy(path: list[int]) -> str:
    kept = [c for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)]
    return "".join(ALPHABET[c - 1] for c in kept)


def export(folder: Path, source: Path, out: Path) -> None:
    """Add the mean of all heads to the recogniser and write it."""
    import torch

    heads = [torch.load(path, weights_only=True) for path in sorted(folder.glob("head*.pt"))]
    core = ov.Core()
    model = core.read_model(source)
    features = features_of(model)
    answer = model.output(0).get_node().input_value(0)

    # Several heads become one: their first layers are stacked, their outputs averaged.
    first = np.concatenate([head["0.weight"].numpy() for head in heads])
    first_bias = np.concatenate([head["0.bias"].numpy() for head in heads])
    last = np.concatenate([head["3.weight"].numpy() for head in heads], axis=1) / len(heads)
    last_bias = np.mean([head["3.bias"].numpy() for head in heads], axis=0)

    def convolved(x: Any, weight: Any, bias: Any) -> Any:
        reach = weight.shape[2] // 2
        conv = ops.convolution(x, weight, [1], [reach], [reach], [1])
        return ops.add(conv, bias[None, :, None])

    hidden = ops.swish(convolved(features, first, first_bias))
    more = ops.transpose(convolved(hidden, last, last_bias), np.array([0, 2, 1]))
    least = np.array(LEAST, np.float32)
    scores = ops.add(ops.log(ops.add(answer, least)), more)
    result = ops.softmax(scores, -1)
    extended = ov.Model([result.output(0)], model.get_parameters(), "plate_text")
    for key in ("license", "source"):
        extended.set_rt_info(model.get_rt_info(["model_info", key]).value, ["model_info", key])
    ov.save_model(extended, out, compress_to_fp16=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["draw", "fit", "export"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--fonts", type=Path, nargs="*", default=[Path("/usr/share/fonts")])
    parser.add_argument("--count", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2e-3)
    chosen = parser.parse_args()
    if chosen.what == "draw":
        draw_all(chosen.folder, chosen.source, chosen.fonts, chosen.count, chosen.seed)
    elif chosen.what == "fit":
        fit(chosen.folder, chosen.passes, chosen.rate)
    else:
        export(chosen.folder, chosen.source, chosen.out)


if __name__ == "__main__":
    main()
