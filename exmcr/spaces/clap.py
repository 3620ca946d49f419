"""LAION-CLAP with feature fusion: the audio-text leaf."""

import contextlib
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.media.sounds import Sound
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches

RATE = 48_000  # Hz, as in the training of CLAP
LENGTH = 480_000  # samples, 10 s; shorter sounds are repeated, longer ones cropped
VOCABULARY = 50_265  # tokens of RoBERTa
VOCABULARY_FILE = "roberta-base/vocab.json"
PROBE = "Rain on a tin roof; 42 birds, and a dog's bark."  # its tokens stand for a tokenizer


class Clap(Space):
    """HTSAT-tiny and RoBERTa (512-d), the fusion model of laion_clap 1.1.

    checkpoint   name of a fusion checkpoint (`630k-fusion-best`, used in the paper, or
                 `630k-audioset-fusion-best`), or its path. A .pt is read without executing
                 anything in it and kept as .safetensors with both SHA-256 beside it: next to the
                 given file, or in the weights folder
    tokenizer    folder with vocab.json and merges.txt of RoBERTa; default: `roberta-base` in the
                 weights folder, else from the model hub
    device       torch device; default: the GPU if there is one
    batch_size   items per forward pass, without influence on the result; default: 16, and 2 sounds
                 on a CPU, where larger batches do not fit the caches
    shrink       how the whole of a sound over 10 s is shrunk to the length of a crop, part of the
                 fingerprint: "plain", bilinear as by torchvision before 0.17, with which the
                 authors of Ex-MCR ran, or "antialiased", as by later versions (about 1 dB apart)
    root         project folder, against which relative paths are resolved

    Sounds of any rate and length are resampled to 48 kHz. A sound over 10 s is encoded as a shrunk
    whole and three crops. laion_clap draws the position of the crops from numpy's global generator,
    so that two runs differ (cosine down to 0.3). Here the samples determine the position: a sound
    has the same embedding in every run, order and batch.

    Raises ConfigError for a missing, damaged or foreign file.
    Source: Wu et al., arXiv 2211.06687.
    """

    name = "clap"
    dim = 512
    modalities = ("audio", "text")
    choices = {"shrink": ("plain", "antialiased")}

    def __init__(
        self,
        checkpoint: str | Path = "630k-fusion-best",
        tokenizer: str | Path | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        shrink: str = "plain",
        root: Path | None = None,
    ):
        import torch

        if shrink not in self.choices["shrink"]:
            raise ConfigError(
                f"shrink must be {' or '.join(self.choices['shrink'])}, not '{shrink}'"
            )
        self.shrink = shrink
        path = _find(checkpoint, root)
        state = checkpoints.load_state(path)
        # A constant that transformers stored before 4.31.
        state.pop("text_branch.embeddings.position_ids", None)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = batch_size
        self.tokenizer = _load_tokenizer(weights.under(root, tokenizer), root)
        self.files = (path,)
        self._laion = _import_laion()
        self.network, self._config = _build(self._laion)
        checkpoints.fill(self.network, state, path, "CLAP with fusion (HTSAT-tiny, RoBERTa)")
        probe = tokens(self.tokenizer, [PROBE])["input_ids"]
        self.fingerprint = digest(
            "clap",
            "48 kHz, length rounded up, int16, peak at most 1, crops from the samples",
            shrink,
            repr(probe.tolist()),
            checkpoints.state_digest(state),
        )
        self.network.eval().requires_grad_(False).to(self.device)

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Sounds or strings -> float32 (n, 512)."""
        import torch

        on_cpu = torch.device(self.device).type == "cpu"
        prepare: Callable[[list], Any] = partial(tokens, self.tokenizer)
        encode, size = self.network.get_text_embedding, 16
        if modality == "audio":
            prepare = lambda sounds: [self._features(sound) for sound in sounds]
            encode, size = self.network.get_audio_embedding, 2 if on_cpu else 16
        return in_batches(items, self.batch_size or size, self.device, prepare, encode)

    def _features(self, sound: Sound) -> dict:
        """The features that laion_clap computes of one sound, among them the mel spectrograms
        (4, 1001, 64) of the whole and of three crops."""
        import torch

        samples = resample(not_above_1(sound))  # above 1, the next step would clip it
        # To 16 bits and back, as laion_clap treats every file.
        samples = self._laion.int16_to_float32(self._laion.float32_to_int16(samples))
        with seeded(samples), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a deprecated argument, once per sound
            features = self._laion.get_audio_features(
                {},
                torch.from_numpy(samples),
                LENGTH,
                data_truncating="fusion",
                data_filling="repeatpad",
                audio_cfg=self._config["audio_cfg"],
            )
        if self.shrink == "plain" and bool(features["longer"]):
            whole = _mel(torch.from_numpy(samples), self._config["audio_cfg"])
            features["mel_fusion"][0] = shrunk(whole, features["mel_fusion"].shape[1])
        return features


def tokens(tokenizer: Any, texts: list) -> dict:
    """Tokens and mask, (n, 77), the length with which CLAP was trained."""
    encoded = tokenizer(
        list(texts),  # a bare string would lose its batch dimension
        padding="max_length",
        truncation=True,
        max_length=77,
        return_tensors="pt",
    )
    return dict(encoded)


def _mel(samples: Any, settings: dict) -> Any:
    """The mel spectrogram (frames, 64) of laion_clap, in dB."""
    return sys.modules["laion_clap.training.data"].get_mel(samples, settings)


def shrunk(mel: Any, frames: int) -> Any:
    """A mel spectrogram (n, bands) -> (frames, bands), bilinear without antialiasing."""
    from torch.nn.functional import interpolate

    size = (frames, mel.shape[1])
    return interpolate(mel[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def not_above_1(sound: Sound) -> Sound:
    """A sound scaled to a peak of 1 if it has a higher one, else as it is."""
    peak = float(np.abs(sound.samples).max())
    return Sound(sound.samples / peak, sound.rate) if peak > 1 else sound


def resample(sound: Sound, rate: int = RATE) -> np.ndarray:
    """Sound at any rate -> float32 (n,) at `rate`, as librosa.load resamples for laion_clap.

    By soxr in quality HQ, then cut or filled with zeros to the length at that rate, rounded up.
    """
    import soxr

    if sound.rate == rate:
        return sound.samples
    samples = soxr.resample(sound.samples, sound.rate, rate, quality="HQ").astype(np.float32)
    if not len(samples):  # a click shorter than one sample at that rate
        return sound.samples[:1]
    length = int(np.ceil(len(sound.samples) * (rate / sound.rate)))
    return np.pad(samples, (0, max(0, length - len(samples))))[:length]


@contextlib.contextmanager
def seeded(samples: np.ndarray) -> Iterator[None]:
    """Seed numpy's global generator with the content of `samples`; restore its state at exit."""
    before = np.random.get_state()
    np.random.seed(np.frombuffer(hashlib.sha256(samples.tobytes()).digest(), "<u4"))
    try:
        yield
    finally:
        np.random.set_state(before)


def _find(checkpoint: str | Path, root: Path | None = None) -> Path:
    """The safetensors file of a checkpoint, converted now if only the .pt is there."""
    path = Path(root or "") / checkpoint
    if path.suffix == ".safetensors":
        return path
    if path.suffix:  # a path, not the name of a checkpoint
        if not path.is_file() and not path.with_suffix(".safetensors").is_file():
            raise ConfigError(
                f"no weight file {path}; `exmcr weights` lists its source and where to put it"
            )
        return checkpoints.convert_once(path, path.with_suffix(".safetensors"))
    folder, weight = weights.folder(root), weights.named(str(checkpoint))
    target = folder / f"{checkpoint}.safetensors"
    source = weights.locate(weight, folder) or folder / weight.file
    if not source.is_file() and not target.is_file():
        raise ConfigError(
            f"no weights of CLAP: take {weight.file} from {weight.page}, put it at {source}; "
            "see `exmcr weights`"
        )
    return checkpoints.convert_once(source, target)


def _load_tokenizer(folder: Path | None, root: Path | None = None) -> Any:
    """RoBERTa's tokenizer from a folder, the weights folder or the hub. Raises ConfigError."""
    from transformers import RobertaTokenizer

    own = weights.folder(root) / "roberta-base"
    source = str(folder or (own if own.is_dir() else "FacebookAI/roberta-base"))
    hint = f"put vocab.json and merges.txt of roberta-base into {own}; see `exmcr weights`"
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"no tokenizer folder {folder}; {hint}")
    # A folder has no revisions.
    pinned = {} if Path(source).is_dir() else {"revision": weights.named(VOCABULARY_FILE).revision}
    try:
        tokenizer = RobertaTokenizer.from_pretrained(source, **pinned)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"no tokenizer at {source} ({type(error).__name__}); {hint}") from error
    # Where files are missing, transformers 5 silently makes an empty tokenizer.
    if len(tokenizer) != VOCABULARY:
        raise ConfigError(
            f"the tokenizer at {source} has {len(tokenizer)} tokens instead of {VOCABULARY}; {hint}"
        )
    return tokenizer


def _import_laion() -> Any:
    """Import laion_clap.hook without side effects: no tokenizer fetched, sys.path unchanged."""
    import transformers

    if "laion_clap.hook" not in sys.modules:
        before = list(sys.path)
        # laion_clap fetches three tokenizers at import; none of them is used here.
        kinds = {
            transformers.BertTokenizer,
            transformers.RobertaTokenizer,
            transformers.BartTokenizer,
        }
        try:
            with contextlib.ExitStack() as stack, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecated imports in laion_clap
                for kind in kinds:
                    stack.enter_context(
                        _replaced(kind, "from_pretrained", classmethod(lambda *_, **__: None))
                    )
                import laion_clap  # noqa: F401
        finally:
            sys.path[:] = before
    return sys.modules["laion_clap.hook"]


def _build(laion: Any) -> tuple[Any, dict]:
    """The network with random weights, and its configuration.

    RoBERTa is built from its configuration, not from 500 MB that the checkpoint would overwrite.
    """
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    random = classmethod(lambda cls, *_, **__: cls(config))
    with _replaced(RobertaModel, "from_pretrained", random), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return laion.create_model(
            "HTSAT-tiny",
            "roberta",
            precision="fp32",
            device="cpu",
            enable_fusion=True,
            fusion_type="aff_2d",
        )


@contextlib.contextmanager
def _replaced(cls: type, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a class; restore it at exit."""
    own, before = name in vars(cls), vars(cls).get(name)
    setattr(cls, name, value)
    try:
        yield
    finally:
        setattr(cls, name, before) if own else delattr(cls, name)
