"""What training does differently on a GPU: where the pool lies, and a step that is launched as a whole."""

from concurrent.futures import ThreadPoolExecutor

import torch

Batch = dict[str, torch.Tensor]
SPARE = (
    8 * 2**30
)  # bytes: the logits of a batch of 8192 three times over, and the projector with its optimizer
WARM_UP = 3  # ordinary steps before a graph is captured: libraries choose their kernels and the optimizer makes its state


class Feed:
    """Batches of a pool ({part: (n, d)}) on the device. Called with index tensors, yields one batch for each.

    A pool that leaves SPARE bytes of the device's memory free lies there. Any other stays where it is (memory-maps too): a
    thread gathers the next batch into pinned memory and copies it on a stream of its own meanwhile."""

    def __init__(self, pool: Batch, device: torch.device):
        size = sum(
            part.numel() * part.element_size()
            for part in pool.values()
            if part.device.type != device.type
        )
        self.device, self.side = device, None
        if device.type != "cuda" or size + SPARE < torch.cuda.mem_get_info(device)[0]:
            pool = {name: part.to(device) for name, part in pool.items()}
        else:
            self.side = torch.cuda.Stream(device)
        self.pool = pool

    def __call__(self, batches):
        if self.side is None:
            for rows in batches:
                yield {name: part.index_select(0, rows) for name, part in self.pool.items()}
            return
        with ThreadPoolExecutor(1) as reader:
            waiting = [reader.submit(self._read, rows.cpu()) for rows in batches[:1]]
            for rows in (*batches[1:], None):
                batch = waiting.pop().result()
                if rows is not None:
                    waiting.append(reader.submit(self._read, rows.cpu()))
                for part in batch.values():
                    part.record_stream(torch.cuda.current_stream(self.device))
                yield batch

    def _read(self, rows):
        with torch.cuda.stream(self.side):
            batch = {
                name: part.index_select(0, rows).pin_memory().to(self.device, non_blocking=True)
                for name, part in self.pool.items()
            }
        self.side.synchronize()
        return batch


class Graph:
    """step(batch) as one CUDA graph: some hundred kernels are launched at once instead of one by one from Python.

    The first WARM_UP calls run as they are, on a side stream as capture demands; every call is one step of training all the
    same. Batches have one shape, and the step must not read a value back. `generator` is what the step draws from."""

    def __init__(self, step, generator: torch.Generator):
        self.step, self.generator, self.calls, self.graph = step, generator, 0, None

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
