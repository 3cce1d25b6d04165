"""The OpenAPI document on standard output: `python -m service.openapi > docs/openapi.json`."""

import json
import sys

from service.app import create_app
from service.settings import Settings


def document() -> str:
    """The document as it is committed; it depends on no setting."""
    return json.dumps(create_app(Settings()).openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
