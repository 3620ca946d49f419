"""Prompts of zero-shot classification: the mean vector of its prompts represents a class.

points  64 prompts in prompts_points.txt; the wording is ours, the number that of ULIP
audio   "This is a sound of {}", as LAION-CLAP classifies ESC-50
        (https://arxiv.org/abs/2206.04769, section 3.3; https://github.com/LAION-AI/CLAP)
image   "a photo of a {}.", CLIP's default (https://arxiv.org/abs/2103.00020, section 3.1.4)

Which prompts Ex-MCR used is not published [assumed]: its ESC-50 is 68.35 in FreeBind's table and
71.20 in OmniBind's.
"""

import re
from importlib.resources import files

NUMBER = re.compile(r" \(n\d+\)$")  # that tells classes of ImageNet with the same name apart


def of_class(modality: str, concept: str) -> list[str]:
    """The prompts of one class of items of a modality; a NUMBER behind its name is left out."""
    concept = NUMBER.sub("", concept)
    article = "an" if concept[:1].lower() in "aeiou" else "a"
    return [
        line.replace("{a}", f"{article} {concept}").replace("{}", concept)
        for line in templates(modality)
    ]


def templates(modality: str) -> list[str]:
    """Prompts in which `{}` stands for the class, or `{a}` for the class with its article."""
    if modality == "points":
        text = files("exmcr.corpora.paper").joinpath("prompts_points.txt").read_text("utf-8")
        return text.splitlines()
    return {"audio": ["This is a sound of {}"], "image": ["a photo of a {}."]}[modality]
