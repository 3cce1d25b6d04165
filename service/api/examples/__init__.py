"""An example of everything that the service answers, by the name of its schema in the OpenAPI document.

Schemas that say an example themselves need none here. Pages of a list are made of the example of their items. Each
topic has a file, which takes ids from `common`, and a line here.
"""

from typing import Any

from service.api.examples import admin, bulk, calibrations, errors, evidence, galleries, identities, searches, tracklets

EXAMPLES: dict[str, dict[str, Any]] = {
    **admin.EXAMPLES,
    **bulk.EXAMPLES,
    **calibrations.EXAMPLES,
    **errors.EXAMPLES,
    **evidence.EXAMPLES,
    **galleries.EXAMPLES,
    **identities.EXAMPLES,
    **searches.EXAMPLES,
    **tracklets.EXAMPLES,
}
