"""Training on a GPU: batches in device memory, and a step as one CUDA graph."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

Batch = dict[str, torch.Tensor]
SPARE = 8 * 2**30  # bytes; the logits of a batch of 8192 three times, projector and optimizer
# Ordinary steps before a graph is captured, in which libraries choose their kernels and the
# optimizer creates its state.
WARM_UP = 3


class Feed:
    """Batches of a pool ({part: (n, d)}) on the device: a call with index tensors yields one each.

    A pool that leaves SPARE bytes of the device's memory free is copied there once. Any other,
    memory-maps included, stays where it is: a thread gathers the next batch into pinned memory and
    copies it on its own stream meanwhile.
    """

    def __init__(self, pool: Batch, device: torch.device):
        size = sum(
            part.numel() * part.element_size()
            for part in pool.values()
            if part.device.type != device.type
        )
        self.device, self.side = device, None  # side: stream of the copies
        if device.type != "cuda" or size + SPARE < torch.cuda.mem_get_info(device)[0]:
            pool = {name: part.to(device) for name, part in pool.items()}
        else:
            self.side = torch.cuda.Stream(device)
        self.pool = pool

    def __call__(self, batches: Sequence[torch.Tensor]) -> Iterator[Batch]:
        if self.side is None:
            for rows in batches:
                yield {name: part.index_select(0, rows) for name, part in self.pool.items()}
            return
        with ThreadPoolExecutor(1) as reader:
            waiting = [reader.submit(self._read, self.side, rows.cpu()) for rows in batches[:1]]
            for following in (*batches[1:], None):
                batch = waiting.pop().result()
                if following is not None:
                    waiting.append(reader.submit(self._read, self.side, following.cpu()))
                for part in batch.values():
                    part.record_stream(torch.cuda.current_stream(self.device))
                yield batch

    def _read(self, side: torch.cuda.Stream, rows: torch.Tensor) -> Batch:
        with torch.cuda.stream(side):
            batch = {
                name: part.index_select(0, rows).pin_memory().to(self.device, non_blocking=True)
                for name, part in self.pool.items()
            }
        side.synchronize()
        return batch


class Graph:
    """step(batch) as one CUDA graph, which launches some hundred kernels at once.

    The first WARM_UP calls run without a graph, on a side stream as capture requires; they are
    training steps too. All batches must have the same shape, and the step must not read a value
    back to the CPU. generator: the one that the step draws from.
    """

    def __init__(self, step: Callable[[Batch], None], generator: torch.Generator):
        self.step, self.generator, self.calls = step, generator, 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> None:
        self.calls += 1
        if self.calls <= WARM_UP:
            side, main = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                self.step(batch)
            main.wait_stream(side)
            return
        if self.graph is None:  # capturing records the step, it does not run it
            self.batch = {name: part.clone() for name, part in batch.items()}
            self.graph = torch.cuda.CUDAGraph()
            self.graph.register_generator_state(self.generator)
            with torch.cuda.graph(self.graph):
                self.step(self.batch)
        for name, part in batch.items():
            self.batch[name].copy_(part)
        self.graph.replay()
