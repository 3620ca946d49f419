"""LAION-CLAP with feature fusion: the audio-text leaf."""

import contextlib
import hashlib
import sys
import warnings
from pathlib import Path

import numpy as np

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.media.sounds import Sound
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches

RATE = 48_000  # Hz, what CLAP was trained on
LENGTH = 480_000  # samples: 10 s; shorter sound is repeated, longer is cropped
VOCABULARY = 50_265


class Clap(Space):
    """HTSAT-tiny and RoBERTa (512-d), the fusion model of laion_clap 1.1.

    checkpoint   name (`630k-fusion-best`, the paper's; `630k-audioset-fusion-best`) or path of a fusion checkpoint.
                 A .pt is read without executing anything in it and kept as .safetensors, with both SHA-256 beside it:
                 next to the file that was given, or in the weights folder
    tokenizer    folder with RoBERTa's vocab.json and merges.txt; by default `roberta-base` of the weights folder, else the hub
    device       torch device; by default the GPU if there is one
    batch_size   items per forward pass, no influence on the result; by default 16, and on a CPU two sounds at a time
                 (more are slower there, since they do not fit the caches)
    root         project folder, from which relative paths are understood

    Sound of any rate and length is brought to 48 kHz. Sound over 10 s is seen as a whole, shrunk, and through three crops;
    laion_clap places these by numpy's global generator, so that two runs differ (cosine down to 0.3). Here the place
    follows from the samples themselves: the same sound has the same vector in every run, order and batch.
    Raises ConfigError for a missing, damaged or foreign file. Source: Wu et al., arXiv 2211.06687."""

    name = "clap"
    dim = 512
    modalities = ("audio", "text")

    def __init__(
        self,
        checkpoint: str | Path = "630k-fusion-best",
        tokenizer: str | Path | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        root: Path | None = None,
    ):
        import torch

        path = _find(weights.under(root, checkpoint) if Path(checkpoint).suffix else checkpoint)
        state = checkpoints.load_state(path)
        state.pop(
            "text_branch.embeddings.position_ids", None
        )  # a constant that transformers stored before 4.31
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = batch_size
        self.tokenizer = _load_tokenizer(weights.under(root, tokenizer))
        self.files = (path,)
        self._laion = _import_laion()
        self.network, self._config = _build(self._laion)
        checkpoints.fill(self.network, state, path, "CLAP with fusion (HTSAT-tiny, RoBERTa)")
        probe = self._tokens(["Rain on a tin roof; 42 birds, and a dog's bark."])[
            "input_ids"
        ].tolist()  # names the tokenizer
        self.fingerprint = digest(
            "clap",
            "48 kHz, int16, crops from the samples",
            repr(probe),
            checkpoints.state_digest(state),
        )
        self.network.eval().requires_grad_(False).to(self.device)

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Sounds or strings -> float32 (n, 512)."""
        import torch

        on_cpu = torch.device(self.device).type == "cpu"
        if modality == "audio":
            prepare, encode = (
                lambda part: [self._features(sound) for sound in part],
                self.network.get_audio_embedding,
            )
        else:
            prepare, encode = self._tokens, self.network.get_text_embedding
        return in_batches(
            items,
            self.batch_size or (2 if modality == "audio" and on_cpu else 16),
            self.device,
            prepare,
            encode,
        )

    def _tokens(self, texts: list) -> dict:
        # Always a list: a bare string would lose its batch dimension.
        return dict(
            self.tokenizer(
                list(texts),
                padding="max_length",
                truncation=True,
                max_length=77,
                return_tensors="pt",
            )
        )

    def _features(self, sound: Sound) -> dict:
        """laion_clap's own features of one sound: mel (4, 1001, 64) of the whole and three crops, and what it is made of."""
        import torch

        samples = resample(sound)
        # Through 16 bits and back, as laion_clap does with every file.
        samples = self._laion.int16_to_float32(self._laion.float32_to_int16(samples))
        with seeded(samples), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a deprecated argument, once per sound
            return self._laion.get_audio_features(
                {},
                torch.from_numpy(samples),
                LENGTH,
                data_truncating="fusion",
                data_filling="repeatpad",
                audio_cfg=self._config["audio_cfg"],
            )


def resample(sound: Sound) -> np.ndarray:
    """Sound at any rate -> float32 (n,) at 48 kHz, by soxr in the quality that librosa.load uses."""
    import soxr

    if sound.rate == RATE:
        return sound.samples
    samples = soxr.resample(sound.samples, sound.rate, RATE, quality="HQ").astype(np.float32)
    return (
        samples if len(samples) else sound.samples[:1]
    )  # less than one sample is left of a mere click


@contextlib.contextmanager
def seeded(samples: np.ndarray):
    """Numpy's global generator, seeded by the content of `samples` and afterwards given back as it was."""
    before = np.random.get_state()
    np.random.seed(np.frombuffer(hashlib.sha256(samples.tobytes()).digest(), "<u4"))
    try:
        yield
    finally:
        np.random.set_state(before)


def _find(checkpoint: str | Path) -> Path:
    """The safetensors file of a checkpoint, made now if only the .pt is there."""
    path = Path(checkpoint)
    if path.suffix == ".safetensors":
        return path
    if path.suffix:  # a path
        if not path.is_file() and not path.with_suffix(".safetensors").is_file():
            raise ConfigError(
                f"no weight file {path}; `exmcr weights` says where it comes from and where to put it"
            )
        return checkpoints.convert_once(path, path.with_suffix(".safetensors"))
    target = weights.folder() / f"{checkpoint}.safetensors"
    weight = weights.named(str(checkpoint))
    source = weights.locate(weight) or weights.folder() / weight.file
    if not source.is_file() and not target.is_file():
        raise ConfigError(
            f"no weights of CLAP: take {weight.file} from {weight.page}, put it at {source}; see `exmcr weights`"
        )
    return checkpoints.convert_once(source, target)


def _load_tokenizer(folder: str | Path | None):
    from transformers import RobertaTokenizer

    own = weights.folder() / "roberta-base"
    source = str(folder or (own if own.is_dir() else "FacebookAI/roberta-base"))
    hint = f"put vocab.json and merges.txt of roberta-base into {own}; see `exmcr weights`"
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"no tokenizer folder {folder}; {hint}")
    try:
        tokenizer = RobertaTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"no tokenizer at {source} ({type(error).__name__}); {hint}") from error
    # transformers 5 makes an empty tokenizer, without a word, where files are missing.
    if len(tokenizer) != VOCABULARY:
        raise ConfigError(
            f"the tokenizer at {source} knows {len(tokenizer)} tokens instead of {VOCABULARY}; {hint}"
        )
    return tokenizer


def _import_laion():
    """laion_clap's module of helpers, imported without its side effects: no tokenizers fetched, no folder on sys.path."""
    import transformers

    if "laion_clap.hook" not in sys.modules:
        before = list(sys.path)
        # At import it fetches three tokenizers, of which it would use none here.
        kinds = {
            transformers.BertTokenizer,
            transformers.RobertaTokenizer,
            transformers.BartTokenizer,
        }
        try:
            with contextlib.ExitStack() as stack, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of deprecated imports of theirs
                for kind in kinds:
                    stack.enter_context(
                        _replaced(kind, "from_pretrained", classmethod(lambda *_, **__: None))
                    )
                import laion_clap  # noqa: F401
        finally:
            sys.path[:] = before
    return sys.modules["laion_clap.hook"]


def _build(laion):
    """The network with random weights: RoBERTa by its configuration, instead of 500 MB that the checkpoint overwrites."""
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
def _replaced(cls, name: str, value):
    own, before = name in vars(cls), vars(cls).get(name)
    setattr(cls, name, value)
    try:
        yield
    finally:
        setattr(cls, name, before) if own else delattr(cls, name)
