"""The two ways in which input can be wrong."""


class ConfigError(ValueError):
    """The caller asked for something impossible: a wrong parameter, a missing or foreign file.

    Raised before any work starts; the message says what is wrong, where, and what to do."""


class BadItem(ValueError):
    """One raw item cannot be used (corrupt image, silent sound, empty cloud, empty caption).

    Extraction skips such an item, counts it and names it in the bank's manifest."""
