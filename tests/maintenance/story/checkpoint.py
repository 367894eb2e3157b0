"""Run by the interpreter that has ultralytics: WEIGHTS.npz ARCHITECTURE.yaml IMAGES TARGET.pt: a checkpoint to go on from.

The demo model ships as ONNX, its normalisations folded into its convolutions. Each convolution gets one again that changes
nothing, with the means and variances that the images give.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.tasks import DetectionModel

SIZE = (320, 192)


def main(weights, architecture, images, target):
    with np.load(weights) as stored:
        names = [str(name) for name in stored["names"]]
        known = {name: torch.tensor(stored[name]).float() for name in stored.files if name != "names"}
    model = DetectionModel(architecture, nc=len(names), verbose=False).float().eval()
    model.load_state_dict(
        {name: value for name, value in known.items() if name in model.state_dict()}, strict=False
    )
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, Conv)}
    for name, module in convolutions.items():
        set_norm(
            module.bn,
            torch.zeros_like(module.bn.bias),
            torch.ones_like(module.bn.bias),
            known[f"{name}.conv.bias"],
        )
    seen = {}
    for name, module in convolutions.items():
        module.conv.register_forward_hook(
            lambda _m, _i, out, name=name: seen.setdefault(name, []).append(moments(out))
        )
    with torch.no_grad():
        for path in sorted(Path(images).iterdir())[:48]:
            image = cv2.resize(cv2.imread(str(path)), SIZE)[..., ::-1].copy()
            model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        for name, module in convolutions.items():
            mean, square = (torch.stack(parts).mean(0) for parts in zip(*seen[name], strict=True))
            set_norm(module.bn, mean, (square - mean**2).clamp(min=1e-6), known[f"{name}.conv.bias"] + mean)
            module.conv._forward_hooks.clear()
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": SIZE[0]}, "epoch": -1}, target)


def moments(out):
    return out.mean((0, 2, 3)), out.pow(2).mean((0, 2, 3))


def set_norm(norm, mean, variance, bias):
    """A normalisation that gives x - mean + bias."""
    norm.running_mean.data.copy_(mean)
    norm.running_var.data.copy_(variance)
    norm.weight.data.copy_((variance + norm.eps).sqrt())
    norm.bias.data.copy_(bias)


if __name__ == "__main__":
    main(*sys.argv[1:])
