"""The numbers that the authors published for their demo items.

Each table is softmax(10 * cosine) of the three items of one modality (rows) over those of another
(columns). Those of C-MCR are in the README of https://github.com/MCR-PEFT/C-MCR. Those of Ex-MCR
exist in two editions, in the README and in inference.py of https://github.com/MCR-PEFT/Ex-MCR; the
authors do not say which weights belong to which edition.
"""

Tables = dict[tuple[str, str], dict[str, list[list[float]]]]  # {(rows, columns): {edition: table}}

IMAGE_TEXT = [[0.5737, 0.2242, 0.2021], [0.2454, 0.4756, 0.2790], [0.2541, 0.2530, 0.4929]]
EXMCR: Tables = {
    ("image", "text"): {"both": IMAGE_TEXT},
    ("audio", "text"): {
        "README": [[0.9115, 0.0369, 0.0516], [0.1443, 0.7265, 0.1292], [0.1000, 0.0960, 0.8040]],
        "inference.py": [
            [0.5816, 0.2509, 0.1675],
            [0.2025, 0.4903, 0.3072],
            [0.2417, 0.2220, 0.5363],
        ],
    },
    ("points", "image"): {
        "README": [[0.8635, 0.0850, 0.0515], [0.0761, 0.9125, 0.0114], [0.1239, 0.0781, 0.7980]],
        "inference.py": [
            [0.6891, 0.1932, 0.1177],
            [0.1549, 0.7470, 0.0981],
            [0.0945, 0.0841, 0.8214],
        ],
    },
    ("audio", "image"): {
        "README": [[0.9060, 0.0329, 0.0611], [0.0743, 0.8742, 0.0515], [0.0648, 0.0227, 0.9126]],
        "inference.py": [
            [0.5270, 0.2189, 0.2541],
            [0.1978, 0.7140, 0.0881],
            [0.1574, 0.0984, 0.7442],
        ],
    },
    ("points", "text"): {
        "README": [[0.8052, 0.0909, 0.1039], [0.2447, 0.6035, 0.1518], [0.1757, 0.2094, 0.6149]],
        "inference.py": [
            [0.7076, 0.1632, 0.1292],
            [0.1881, 0.5662, 0.2457],
            [0.1429, 0.2350, 0.6221],
        ],
    },
    ("audio", "points"): {
        "README": [[0.9860, 0.0038, 0.0102], [0.0078, 0.9875, 0.0048], [0.0204, 0.0021, 0.9775]],
        "inference.py": [
            [0.8921, 0.0792, 0.0286],
            [0.0729, 0.8420, 0.0851],
            [0.0361, 0.0315, 0.9324],
        ],
    },
}
CMCR: dict[str, Tables] = {  # by weight file
    "clap_clip.pt": {
        ("image", "text"): {
            "README": [[0.9681, 0.0219, 0.0100], [0.0403, 0.9398, 0.0199], [0.0045, 0.0044, 0.9910]]
        },
        ("audio", "text"): {
            "README": [[0.9937, 0.0028, 0.0035], [0.0337, 0.9434, 0.0229], [0.0813, 0.0253, 0.8934]]
        },
        ("audio", "image"): {
            "README": [[0.9712, 0.0079, 0.0208], [0.0628, 0.8966, 0.0406], [0.0322, 0.0062, 0.9616]]
        },
    },
    "ulip_clip.pt": {
        ("image", "text"): {
            "README": [[0.7340, 0.1593, 0.1067], [0.2001, 0.5995, 0.2005], [0.1622, 0.1835, 0.6542]]
        },
        ("points", "image"): {
            "README": [[0.6783, 0.1781, 0.1436], [0.1193, 0.7866, 0.0941], [0.1319, 0.2170, 0.6512]]
        },
        ("points", "text"): {
            "README": [[0.7448, 0.1236, 0.1316], [0.2459, 0.5625, 0.1916], [0.2007, 0.2648, 0.5346]]
        },
    },
}
