"""Every router of the service, in the order of the OpenAPI document."""

from service.api import (
    admin,
    calibrations,
    evidence,
    generations,
    health,
    identities,
    integrity,
    jobs,
    keys,
    matches,
    models,
    search,
    search_batch,
    search_export,
    tracklets,
    verify,
)

ROUTERS = (
    tracklets.router,
    evidence.router,
    search.router,
    identities.router,
    matches.router,
    search_batch.router,
    search_export.router,
    verify.router,
    admin.router,
    generations.router,
    models.router,
    integrity.router,
    calibrations.router,
    keys.router,
    jobs.router,
    health.router,
)
