"""`exmcr extract` and `exmcr train`: the two long stages without their notebooks, by one process or by all that torchrun started.

    torchrun --nproc-per-node 4 -m exmcr extract
    torchrun --nproc-per-node 4 -m exmcr train

What they leave is what the notebooks leave. Started again after any interruption, with as many processes or not, they go on."""

from exmcr import distributed, pipeline


def add_arguments(parser) -> None:
    parser.add_argument("--project", default=None, help="folder with params.yaml (default: this one or the next above it)")


def run(arguments) -> int:
    """`exmcr extract`, `exmcr train`: the function of exmcr.pipeline of that name; the first process prints its table."""
    project = pipeline.Project(arguments.project)
    with distributed.torchrun() as group:
        table = getattr(pipeline, arguments.command)(project, group=group)
        if distributed.rank(group) == 0:
            print(table.to_string(index=False))
    return 0
