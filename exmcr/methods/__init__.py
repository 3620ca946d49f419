"""Methods that bring a leaf into the base, one file per paper, with one interface:

    fit(pools, seed, **settings) -> Maps

A method sees only the unpaired pools of one leaf (exmcr.pairing.pools.Pools). The maps that it
returns take vectors of the leaf, and of the base, into a common space; for Ex-MCR and the linear
maps this is the base itself, unchanged.

maps.py            what a method returns
registry.py        all methods by name, and their settings
networks.py        what trained methods share
postprocessing.py  corrections of similarities
"""
