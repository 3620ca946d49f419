"""CLAP by transformers: an audio-text leaf from a folder or a repository of the model hub."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.media.sounds import Sound
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches
from exmcr.spaces.clap import PROBE, not_above_1, resample, seeded, tokens

TEXTS = ("config.json", "preprocessor_config.json", "vocab.json", "merges.txt")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there
# Constants that some versions of transformers store and others do not.
CONSTANTS = ("position_ids", "token_type_ids", "relative_position_index")


class ClapHf(Space):
    """Any `ClapModel` of transformers; default: laion/clap-htsat-fused (512-d).

    checkpoint   folder with config.json, preprocessor_config.json, vocab.json, merges.txt and
                 model.safetensors (or pytorch_model.bin, read without executing anything in it), or
                 a repository of the model hub, which is looked for in the weights folder under
                 owner/name (the default under clap-htsat-fused, as in `exmcr weights`), then in the
                 cache of the hub, then on the hub
    revision     commit, tag or branch of the repository; the weights folder is then passed over.
                 Default: the commit that `exmcr weights` pins, else main
    device       torch device; default: the GPU if there is one
    batch_size   items per forward pass, without influence on the result; default: 16, and 2 sounds
                 on a CPU
    root         project folder, against which relative paths are resolved

    laion/clap-htsat-fused is 630k-audioset-fusion-best of `clap`, according to its authors; the
    paper's 630k-fusion-best has not been published in this format.

    Sounds are treated as by `clap`: resampled, scaled to a peak of at most 1, rounded to 16 bits,
    and of a sound over 10 s the samples determine the position of the crops, which transformers
    draws at random. As in laion_clap, crops are fused for sounds over 10 s only; transformers fuses
    four copies of one sound of each batch of short sounds, chosen at random. With the same weights
    both spaces give the same embeddings (to 1e-6, on random weights).

    Raises ConfigError for missing, damaged or foreign files.
    Source: Wu et al., arXiv 2211.06687; transformers.models.clap.
    """

    name = "clap-hf"
    modalities = ("audio", "text")

    def __init__(
        self,
        checkpoint: str | Path = "laion/clap-htsat-fused",
        revision: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        root: Path | None = None,
    ):
        import torch
        from transformers import ClapModel

        folder = _find(str(checkpoint), revision, root)
        hint = _hint(_place(str(checkpoint), root))
        config, self.features = _settings(folder)
        path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        if path is None:
            raise ConfigError(f"{folder} holds neither {' nor '.join(WEIGHTS)}; {hint}")
        state = checkpoints.load_state(path)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size, self.dim, self.files = batch_size, config.projection_dim, (path,)
        self.tokenizer = _tokenizer(folder, config.text_config.vocab_size, hint)
        self.network = ClapModel(config).float()
        own = self.network.state_dict()
        state = {name: x for name, x in state.items() if not name.endswith(CONSTANTS)}
        state |= {name: x for name, x in own.items() if name.endswith(CONSTANTS)}
        checkpoints.fill(self.network, state, path, f"the ClapModel of {folder / TEXTS[0]}")
        probe = self._tokens([PROBE])["input_ids"]
        settings = {k: v for k, v in self.features.to_dict().items() if "processor" not in k}
        self.fingerprint = digest(
            "clap-hf",
            "length rounded up, int16, peak at most 1, crops from the samples, fused if longer",
            repr(sorted(settings.items(), key=str)),
            repr(probe.tolist()),
            checkpoints.state_digest(self.network.state_dict()),
        )
        self.network.eval().requires_grad_(False).to(self.device)

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Sounds or strings -> float32 (n, dim)."""
        import torch

        on_cpu = torch.device(self.device).type == "cpu"
        prepare: Callable[[list], Any] = self._tokens
        encode, size = self.network.get_text_features, 16
        if modality == "audio":
            prepare, encode = self._inputs, self.network.get_audio_features
            size = 2 if on_cpu else 16

        def forward(inputs: dict) -> torch.Tensor:
            output = encode(**inputs)  # before transformers 5, the vectors themselves
            return getattr(output, "pooler_output", output)

        return in_batches(items, self.batch_size or size, self.device, prepare, forward)

    def _tokens(self, texts: list) -> dict:
        encoded = tokens(self.tokenizer, texts)
        return {name: encoded[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def _inputs(self, sounds: list) -> dict:
        """Mel spectrograms (n, 4 or 1, frames, bands), and which sounds are longer than a crop."""
        import torch

        pairs = [self._mel(sound) for sound in sounds]
        mels = torch.from_numpy(np.stack([mel for mel, _ in pairs]).astype(np.float32))
        longer = torch.tensor([[longer] for _, longer in pairs])
        return {"input_features": mels.to(self.device), "is_longer": longer.to(self.device)}

    def _mel(self, sound: Sound) -> tuple[np.ndarray, bool]:
        rate = self.features.sampling_rate
        samples = in_16_bits(resample(not_above_1(sound), rate))
        with seeded(samples), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mel filters without a bin
            features = self.features(samples, sampling_rate=rate, return_tensors="np")
        # As many frames as a crop has come back as four copies of the whole.
        hop = self.features.hop_length
        longer = len(samples) // hop > self.features.nb_max_samples // hop
        return features["input_features"][0], longer


def in_16_bits(samples: np.ndarray) -> np.ndarray:
    """float32 (n,) rounded to 16 bits toward zero and back, as laion_clap treats every file."""
    whole = (np.clip(samples, -1, 1) * np.float32(32767)).astype(np.int16)
    return (whole / 32767.0).astype(np.float32)


def _find(checkpoint: str, revision: str | None, root: Path | None) -> Path:
    """The folder of a checkpoint: a folder, the weights folder, the hub's cache, or the hub."""
    place, local = _place(checkpoint, root), Path(root or "") / checkpoint
    if local.is_dir():
        return local
    if revision is None and (place / TEXTS[0]).is_file():
        return place
    rows = _rows(checkpoint)
    try:
        return _download(checkpoint, revision or (rows[0].revision if rows else "main"))
    except Exception as error:  # the client of the hub raises a dozen unrelated types
        raise ConfigError(
            f"no weights of {checkpoint}: no folder {place}, and the model hub failed "
            f"({type(error).__name__}); {_hint(place)}"
        ) from error


def _download(repository: str, revision: str) -> Path:
    """The folder of a repository in the cache of the hub, with the first of WEIGHTS that it has."""
    from huggingface_hub import snapshot_download

    for weight in WEIGHTS:
        files = [*TEXTS, "tokenizer.json", weight]
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=files))
        if (folder / weight).is_file():
            break
    return folder


def _place(checkpoint: str, root: Path | None) -> Path:
    """Where the files of a checkpoint belong: its folder, or a folder of the weights folder.

    Raises ConfigError if it is neither a folder nor of the form owner/name.
    """
    folder = Path(root or "") / checkpoint
    if folder.is_dir():
        return folder
    if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~")):
        raise ConfigError(f"no folder {folder}, and '{checkpoint}' is no repository (owner/name)")
    rows = _rows(checkpoint)
    return weights.folder(root) / (Path(rows[0].file).parent if rows else checkpoint)


def _rows(checkpoint: str) -> list[weights.Weight]:
    """The files of a repository that `exmcr weights` lists."""
    return [row for row in weights.WEIGHTS if (row.space, row.repo) == (ClapHf.name, checkpoint)]


def _hint(place: Path) -> str:
    return f"put {', '.join((*TEXTS, WEIGHTS[0]))} into {place}; see `exmcr weights`"


def _settings(folder: Path) -> tuple[Any, Any]:
    """The configuration of the network and the feature extractor. Raises ConfigError."""
    from transformers import ClapConfig, ClapFeatureExtractor

    for name in TEXTS[:2]:
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} has no {name}; is it the folder of a ClapModel?")
    try:
        kind = json.loads((folder / TEXTS[0]).read_text(encoding="utf-8")).get("model_type")
        if kind != "clap":
            raise ValueError(f"model_type is {kind!r}, not 'clap'")
        return ClapConfig.from_pretrained(folder), ClapFeatureExtractor.from_pretrained(folder)
    except Exception as error:  # transformers raises errors of many kinds for odd values
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{folder}: {' or '.join(TEXTS[:2])} is unusable: {reason}") from error


def _tokenizer(folder: Path, size: int, hint: str) -> Any:
    """RoBERTa's tokenizer. Raises ConfigError if it is missing or not of the network."""
    from transformers import RobertaTokenizer

    try:
        tokenizer = RobertaTokenizer.from_pretrained(folder)
    except Exception as error:  # the library in Rust raises bare exceptions
        raise ConfigError(f"no tokenizer in {folder} ({type(error).__name__}); {hint}") from error
    # Where files are missing, transformers 5 silently makes an empty tokenizer.
    if len(tokenizer) != size:
        raise ConfigError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, the network {size}; {hint}"
        )
    return tokenizer
