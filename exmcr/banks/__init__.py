"""Embeddings on disk: unit vectors of one modality in one space, with the ids of their items.

banks/<space>/<modality>/<split>/
    vectors.npy    float32 (n, dim), memory-mapped by readers
    ids.parquet    column `id`, row by row; imported embeddings may have `caption`
    manifest.json  provenance: space, fingerprint, modality, hash of the item table, skipped items
                   with reasons, SHA-256 of vectors.npy

bank.py        open a bank
extraction.py  make one from raw items and a space, resumably
importing.py   make one from embeddings computed elsewhere
"""

from exmcr.banks.bank import Bank, aligned

__all__ = ["Bank", "aligned"]
