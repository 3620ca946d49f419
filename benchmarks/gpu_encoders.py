"""The encoders of the paper with random weights: items per second, and agreement with the CPU."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from gpu_setup import Setup, compared, each, patched, repeated
from timing import row

from exmcr.kernels.tiles import matmul_precision

FEW = 4  # items on which the CPU and the GPU are compared
# How matrix products and convolutions are computed. "as shipped" is torch's default: products in
# float32, convolutions in TF32.
MODES = ("float32", "as shipped", "tf32", "bfloat16")


class Tower(NamedTuple):
    """name    modality
    draw    draw(n) -> prepared inputs of n items, on the CPU
    encode  encode(network, inputs on its device) -> (n, d)
    batch   items per forward pass on a GPU
    modes   those of MODES that the network can run in
    """

    name: str
    draw: Callable[[int], Any]
    encode: Callable[[torch.nn.Module, Any], torch.Tensor]
    batch: int
    modes: tuple[str, ...] = MODES


def clip(setup: Setup) -> Iterator[dict]:
    """CLIP ViT-B/32 of open_clip with random weights, on prepared tensors: items per second, and
    the relative difference |out - ref| / |ref| from the CPU in float32. "as shipped" is torch's
    default: products in float32, convolutions in TF32."""
    try:
        import open_clip
    except ImportError as error:
        yield skipped(error)
        return
    torch.manual_seed(0)
    yield from measured(setup, open_clip.create_model("ViT-B-32-quickgelu"), dual_towers())


def ulip2(setup: Setup) -> Iterator[dict]:
    """ULIP-2 with random weights, likewise. Clouds have 10,000 points; their grouping (sampling of
    farthest points, neighbors) is measured apart from the network."""
    try:
        from exmcr.spaces.pointbert import group
        from exmcr.spaces.ulip import UlipNetwork

        torch.manual_seed(0)
        network = UlipNetwork()
    except ImportError as error:
        yield skipped(error)
        return
    count = 2 if setup.dry else 32
    clouds = torch.randn(count, 300 if setup.dry else 10_000, 3)
    groups = 16 if setup.dry else 512
    there = clouds.to(setup.device)
    took = repeated(lambda: group(there, groups), 1, setup.rounds(3))
    yield row(f"grouping of {count} clouds at once", count / took, "items/s")

    grouped = on(torch.device("cpu"), group(there, groups))

    def draw(n):
        return tuple(part.repeat(-(-n // count), *[1] * (part.ndim - 1))[:n] for part in grouped)

    points = Tower("points", draw, lambda net, groups: net.encode_points(*groups), 128)
    yield from measured(setup, network, [points, *dual_towers()])


def clap(setup: Setup) -> Iterator[dict]:
    """LAION-CLAP with fusion and random weights, likewise, on prepared spectrograms and tokens.
    No bfloat16 for sounds: the fusion of laion_clap writes float32 into a bfloat16 tensor."""
    try:
        from exmcr.spaces import clap as source

        laion = source._import_laion()
    except ImportError as error:
        yield skipped(error)
        return
    torch.manual_seed(0)
    network, _ = source._build(laion)
    audio = Tower("audio", sounds, encode_sounds, 64, MODES[:3])
    tokens = Tower("text", captions, encode_captions, 256)
    yield from measured(setup, network, [audio, tokens])


def skipped(error: ImportError) -> dict:
    return row(f"not run: {error}", "skipped", "")


def dual_towers() -> list[Tower]:
    """Images (n, 3, 224, 224) and texts of 77 tokens."""
    return [
        Tower(
            "image",
            lambda n: torch.randn(n, 3, 224, 224, generator=torch.Generator().manual_seed(1)),
            lambda network, pixels: network.encode_image(pixels),
            256,
        ),
        Tower("text", texts, lambda network, tokens: network.encode_text(tokens), 1024),
    ]


def texts(n: int) -> torch.Tensor:
    """Tokens as CLIP's tokenizer makes them: start, words, end, padding."""
    tokens = torch.zeros(n, 77, dtype=torch.long)
    tokens[:, 0], tokens[:, 12] = 49406, 49407
    generator = torch.Generator().manual_seed(1)
    tokens[:, 1:12] = torch.randint(1, 49406, (n, 11), generator=generator)
    return tokens


def sounds(n: int) -> dict[str, torch.Tensor]:
    """Spectrograms of the whole and three crops; every second sound is longer than 10 s."""
    generator = torch.Generator().manual_seed(1)
    mel = torch.randn(n, 4, 1001, 64, generator=generator) * 10 - 30
    longer = (torch.arange(n) % 2 == 1)[:, None]
    return {"mel_fusion": mel, "longer": longer, "waveform": torch.zeros(n, 480_000)}


def encode_sounds(network: torch.nn.Module, features: dict[str, torch.Tensor]) -> torch.Tensor:
    count = len(features["longer"])
    return network.get_audio_embedding(
        [{name: part[k] for name, part in features.items()} for k in range(count)]
    )


def captions(n: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(4, 50_000, (n, 77), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(77) < 16).long().repeat(n, 1)
    return {"input_ids": torch.where(mask.bool(), ids, 1), "attention_mask": mask}


def encode_captions(network: torch.nn.Module, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
    return network.get_text_embedding(dict(tokens))


@contextmanager
def computed_in(mode: str, device: torch.device) -> Iterator[None]:
    """Products and convolutions as MODES says."""
    with ExitStack() as stack:
        stack.enter_context(matmul_precision("tf32" if mode == "tf32" else "float32"))
        if mode == "float32":
            stack.enter_context(patched(torch.backends.cudnn.conv, fp32_precision="ieee"))
        if mode == "bfloat16":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        yield


def on(device: torch.device, inputs: Any) -> Any:
    """Tensors, or a dict or tuple of them, on a device."""
    if isinstance(inputs, torch.Tensor):
        return inputs.to(device)
    if isinstance(inputs, dict):
        return {name: on(device, part) for name, part in inputs.items()}
    return tuple(on(device, part) for part in inputs)


def measured(setup: Setup, network: torch.nn.Module, towers: list[Tower]) -> Iterator[dict]:
    """Rows of every tower and mode."""
    network.eval().requires_grad_(False)
    there = copy.deepcopy(network).to(setup.device)
    yield from each(*(_of_tower(setup, network, there, tower) for tower in towers))


@torch.inference_mode()
def _of_tower(
    setup: Setup, network: torch.nn.Module, there: torch.nn.Module, tower: Tower
) -> Iterator[dict]:
    """network: on the CPU; there: on the device."""
    few, count = tower.draw(FEW), FEW if setup.dry else tower.batch
    reference = tower.encode(network, few).float()
    batch = on(setup.device, tower.draw(count))
    base = None
    for mode in tower.modes:
        if setup.dry and mode in ("as shipped", "tf32"):
            continue  # float32 on a CPU
        with computed_in(mode, setup.device):
            out = tower.encode(there, on(setup.device, few)).float().cpu()
            encode = lambda: tower.encode(there, batch)
            took = repeated(encode, 1 if setup.dry else 3, setup.rounds(5))
        base = base or count / took
        claim = f"{tower.name}, batches of {count}, {mode} against {tower.modes[0]}"
        yield row(claim, count / took, "items/s", base, count / took / base)
        error = float((out - reference).norm() / reference.norm())
        claim = f"{tower.name}, {mode}, relative difference from the CPU in float32"
        # bfloat16 has 8 bits of mantissa.
        yield row(claim, error, "") if mode == "bfloat16" else compared(claim, error)
