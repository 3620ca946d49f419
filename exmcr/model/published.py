"""The numbers that the authors published for their demo items.

Each table is softmax(10 * cosine) of the three items of one modality (rows) over those of another
(columns). Sources: the READMEs of https://github.com/MCR-PEFT/C-MCR and
https://github.com/MCR-PEFT/Ex-MCR at their latest commits. An earlier edition of Ex-MCR's numbers,
computed with the projectors in training mode, was withdrawn by the commit "model eval bug fixed"
and does not count; the weights never changed.
"""

Tables = dict[tuple[str, str], list[list[float]]]  # {(rows, columns): table}

IMAGE_TEXT = [[0.5737, 0.2242, 0.2021], [0.2454, 0.4756, 0.2790], [0.2541, 0.2530, 0.4929]]
EXMCR: Tables = {
    ("image", "text"): IMAGE_TEXT,
    ("audio", "text"): [
        [0.9115, 0.0369, 0.0516],
        [0.1443, 0.7265, 0.1292],
        [0.1000, 0.0960, 0.8040],
    ],
    ("points", "image"): [
        [0.8635, 0.0850, 0.0515],
        [0.0761, 0.9125, 0.0114],
        [0.1239, 0.0781, 0.7980],
    ],
    ("audio", "image"): [
        [0.9060, 0.0329, 0.0611],
        [0.0743, 0.8742, 0.0515],
        [0.0648, 0.0227, 0.9126],
    ],
    ("points", "text"): [
        [0.8052, 0.0909, 0.1039],
        [0.2447, 0.6035, 0.1518],
        [0.1757, 0.2094, 0.6149],
    ],
    ("audio", "points"): [
        [0.9860, 0.0038, 0.0102],
        [0.0078, 0.9875, 0.0048],
        [0.0204, 0.0021, 0.9775],
    ],
}
CMCR: dict[str, Tables] = {  # by weight file
    "clap_clip.pt": {
        ("image", "text"): [
            [0.9681, 0.0219, 0.0100],
            [0.0403, 0.9398, 0.0199],
            [0.0045, 0.0044, 0.9910],
        ],
        ("audio", "text"): [
            [0.9937, 0.0028, 0.0035],
            [0.0337, 0.9434, 0.0229],
            [0.0813, 0.0253, 0.8934],
        ],
        ("audio", "image"): [
            [0.9712, 0.0079, 0.0208],
            [0.0628, 0.8966, 0.0406],
            [0.0322, 0.0062, 0.9616],
        ],
    },
    "ulip_clip.pt": {
        ("image", "text"): [
            [0.7340, 0.1593, 0.1067],
            [0.2001, 0.5995, 0.2005],
            [0.1622, 0.1835, 0.6542],
        ],
        ("points", "image"): [
            [0.6783, 0.1781, 0.1436],
            [0.1193, 0.7866, 0.0941],
            [0.1319, 0.2170, 0.6512],
        ],
        ("points", "text"): [
            [0.7448, 0.1236, 0.1316],
            [0.2459, 0.5625, 0.1916],
            [0.2007, 0.2648, 0.5346],
        ],
    },
}
