"""OpenCV's own reader and network, boxes not even read: MODEL VIDEO SECONDS [HEIGHT,WIDTH]."""

import json
import sys

import cv2
from measure import measure

model, video, seconds, size = sys.argv[1:]
height, width = json.loads(size)
net, capture = cv2.dnn.readNetFromONNX(model), cv2.VideoCapture(video)


def step() -> None:
    good, frame = capture.read()
    if not good:
        capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        _, frame = capture.read()
    net.setInput(cv2.dnn.blobFromImage(frame, 1 / 255, (width, height), swapRB=True))
    net.forward()


measure(step, float(seconds))
