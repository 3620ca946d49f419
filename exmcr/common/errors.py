"""The two ways in which input can be wrong."""


class ConfigError(ValueError):
    """The caller asked for something impossible: a wrong parameter, a missing or foreign file.

    Raised before any work starts; the message says what is wrong, where, and how to fix it.
    """


class BadItem(ValueError):
    """One raw item cannot be used: a corrupt image, a silent sound, an empty cloud or caption.

    Extraction skips such an item, counts it and names it in the manifest of the bank.
    """
