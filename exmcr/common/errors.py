"""The two kinds of wrong input."""


class ConfigError(ValueError):
    """The request cannot be met: a wrong parameter, a missing or foreign file.

    Raised before any work starts; the message says what is wrong, where, and how to fix it.
    """


class BadItem(ValueError):
    """One raw item cannot be used: a corrupt image, a silent sound, an empty cloud or caption.

    Extraction skips the item, counts it and names it in the manifest of the bank.
    """
