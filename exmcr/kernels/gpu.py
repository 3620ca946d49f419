"""Training on a GPU: batches in device memory, and a step as one CUDA graph."""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import torch

Batch = dict[str, torch.Tensor]
SPARE = 8 * 2**30  # bytes; the logits of a batch of 8192 three times, projector and optimizer
# Ordinary steps before a graph is captured, in which libraries choose their kernels and the
# optimizer creates its state.
WARM_UP = 3
# Held while a graph is captured and while the reader of a Feed works: memory that another thread
# allocates meanwhile makes the capture fail.
_DEVICE = Lock()


class Feed:
    """Batches of a pool ({part: (n, d)}) on the device: a call with index tensors yields one each.

    A pool that leaves SPARE bytes of the device's memory free is copied there once. Any other,
    memory-maps included, stays on the host: a thread gathers the next batch into pinned memory and
    copies it on its own stream meanwhile.
    """

    def __init__(self, pool: Batch, device: torch.device):
        size = sum(
            part.numel() * part.element_size()
            for part in pool.values()
            if part.device.type != device.type
        )
        self.device = device
        self.side: torch.cuda.Stream | None = None  # of the copies
        # A pool that is on the device already needs no further memory, however little is free.
        if device.type != "cuda" or not size or size + SPARE < torch.cuda.mem_get_info(device)[0]:
            pool = {name: part.to(device) for name, part in pool.items()}
        else:
            self.side = torch.cuda.Stream(device)
        self.pool = pool
        self.pinned: Batch = {}  # one batch on the host

    def __call__(self, batches: Sequence[torch.Tensor]) -> Iterator[Batch]:
        if self.side is None:
            for rows in batches:
                yield {name: part.index_select(0, rows) for name, part in self.pool.items()}
        elif batches:
            # One copy for all batches: a copy of each would wait for the step before it.
            order = torch.cat(tuple(batches)).cpu()
            yield from self._ahead(order.split([len(rows) for rows in batches]), self.side)

    def _ahead(self, batches: Sequence[torch.Tensor], side: torch.cuda.Stream) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(self._read, side, batches[0])
            for following in (*batches[1:], None):
                batch = waiting.result()
                if following is not None:
                    waiting = reader.submit(self._read, side, following)
                for part in batch.values():
                    part.record_stream(torch.cuda.current_stream(self.device))
                yield batch

    def _read(self, side: torch.cuda.Stream, rows: torch.Tensor) -> Batch:
        batch = {}
        with _DEVICE, torch.cuda.stream(side):
            for name, part in self.pool.items():
                page = self._page(name, part, len(rows))
                torch.index_select(part, 0, rows, out=page)
                batch[name] = page.to(self.device, non_blocking=True)
            side.synchronize()  # then the pinned memory is free for the next batch
        return batch

    def _page(self, name: str, part: torch.Tensor, rows: int) -> torch.Tensor:
        """Pinned memory for `rows` rows of a part. Gathering straight into it saves a copy."""
        if name not in self.pinned or len(self.pinned[name]) < rows:
            self.pinned[name] = part.new_empty(rows, *part.shape[1:], pin_memory=True)
        return self.pinned[name][:rows]


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
        if self.graph is None:
            self.graph = self._captured(batch)
        for name, part in batch.items():
            self.batch[name].copy_(part)
        self.graph.replay()

    def _captured(self, batch: Batch) -> torch.cuda.CUDAGraph:
        """The step on a copy of `batch`, recorded but not run."""
        self.batch = {name: part.clone() for name, part in batch.items()}
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        # Destroying an earlier graph would spoil the capture, and the first optimizer of a process
        # leaves frames in a reference cycle that may hold one.
        gc.collect()
        with _DEVICE, torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.step(self.batch)
        return graph
