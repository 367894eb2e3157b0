"""Run by the interpreter that has ultralytics: SOURCE TARGET IMAGES: a checkpoint that was fused for inference can be trained again.

Each convolution gets a batch normalisation that changes nothing, with the means and variances that the images give.
"""

import sys
from pathlib import Path

import cv2
import torch
from ultralytics import YOLO
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.tasks import DetectionModel


def main(source, target, images):
    fused = YOLO(source).model.float().eval()
    fresh = DetectionModel(fused.yaml, nc=len(fused.names), verbose=False).float()
    fresh.load_state_dict(fused.state_dict(), strict=False)
    outputs = {}
    for name, module in fused.named_modules():
        if isinstance(module, Conv):
            module.conv.register_forward_hook(
                lambda _m, _i, out, name=name: outputs.setdefault(name, []).append(
                    (out.mean((0, 2, 3)), out.pow(2).mean((0, 2, 3)))
                )
            )
    with torch.no_grad():
        for path in sorted(Path(images).iterdir())[:24]:
            image = cv2.resize(cv2.imread(str(path)), (160, 96))[..., ::-1].copy()
            fused(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        for name, module in fresh.named_modules():
            if isinstance(module, Conv):
                bias = fused.get_submodule(name).conv.bias
                mean, square = (torch.stack(parts).mean(0) for parts in zip(*outputs[name], strict=True))
                variance = (square - mean**2).clamp(min=1e-6)
                module.bn.running_mean.copy_(mean - bias)
                module.bn.running_var.copy_(variance)
                module.bn.weight.copy_((variance + module.bn.eps).sqrt())
                module.bn.bias.copy_(mean)
    fresh.names = fused.names
    torch.save({"model": fresh, "train_args": {"task": "detect", "imgsz": 160}, "epoch": -1}, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
