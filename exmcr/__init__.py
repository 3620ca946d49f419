"""Ex-MCR and C-MCR: extend frozen multi-modal contrastive spaces without paired data."""

__version__ = "0.1.0"
