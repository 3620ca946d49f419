"""Ex-MCR and C-MCR: extend frozen multi-modal contrastive spaces without paired data.

    from exmcr import ExMCR, Bank, load_space

These names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exmcr.banks.bank import Bank
    from exmcr.model.exmcr import ExMCR
    from exmcr.spaces import load_space

__version__ = "0.2.0"
__all__ = ["Bank", "ExMCR", "load_space"]

_PUBLIC = {
    "ExMCR": "exmcr.model.exmcr",
    "Bank": "exmcr.banks.bank",
    "load_space": "exmcr.spaces",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'exmcr' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
