"""Ways to bring a leaf into the base, one file a paper, all with one interface.

fit(pools, seed, **settings) -> Maps

A method sees the unpaired pools of one leaf (exmcr.pairing.pools.Pools) and nothing else. The
returned maps take vectors of the leaf, and of the base, into a common space; for Ex-MCR and the
linear maps that is the base itself, unchanged. registry.py lists all methods, postprocessing.py
holds what corrects similarities afterwards.
"""
