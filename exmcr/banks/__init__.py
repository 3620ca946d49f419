"""Embeddings on disk: unit vectors of one modality in one space, with the ids of their items.

banks/<space>/<modality>/<split>/
    vectors.npy    float32 (n, dim), memory-mapped by readers
    ids.parquet    column `id`, row by row; imported embeddings may have `caption`
    manifest.json  provenance: space, fingerprint, modality, hash of the item table, skipped items
                   with reasons, SHA-256 of the other two files and of itself

bank.py        open a bank, check it, join two by their ids
storage.py     the files of a bank: written, recognized, deleted, locked
extraction.py  make one from raw items and a space, resumably
shards.py      its complete parts, which survive an interruption
importing.py   make one from embeddings computed elsewhere
imported.py    find those of a space without an encoder
matrices.py    their vectors: .npy, .safetensors, .pt
lists.py       their ids and captions: .txt, .csv, .parquet
"""

from exmcr.banks.bank import Bank, aligned, common_ids

__all__ = ["Bank", "aligned", "common_ids"]
