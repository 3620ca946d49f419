"""python -m exmcr.corpora: fetch and list the raw items that params.yaml names."""

from exmcr import config, corpora
from exmcr.errors import ConfigError, note_stop

root = config.project_root()
note_stop(root)
try:
    params = config.load(root / "params.yaml")
    print(corpora.build(params["corpora"], root, params.get("sample")))
except ConfigError as error:
    reason = f"corpora: {error}"
    note_stop(root, reason)
    raise SystemExit(reason) from None
