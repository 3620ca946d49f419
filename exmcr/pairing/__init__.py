"""Pseudo-pairs from unpaired banks (stage `pair`, notebook 02_pair).

pools.py        the unpaired banks of one leaf
aggregation.py  softmax aggregation, as the paper prints it
centering.py    means subtracted
cones.py        a warning about pools that lie in cones
pairs.py        the three centers, and pseudo-pairs on disk:
                pairs/<leaf>/<center>.safetensors, and manifest.json with their hashes and inputs
"""
