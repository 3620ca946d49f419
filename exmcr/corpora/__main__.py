"""python -m exmcr.corpora: fetch and list the raw items that params.yaml names."""

from exmcr import config, corpora

root = config.project_root()
print(corpora.build(config.load(root / "params.yaml")["corpora"], root))
