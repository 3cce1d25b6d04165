"""Every setting of the service, in one place; each is an environment variable with the prefix `TFCLIP_`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.cores import allowed_cores

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

MEBIBYTE = 1024 * 1024


def default_data_directory() -> Path:
    """Where data lives when nobody says: a folder of the system for root, of the user otherwise.

    Root gets /var/lib/tfclip because the embedded PostgreSQL then runs as another user, who cannot enter /root.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/tfclip")
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "tfclip"


class Settings(BaseSettings):
    """Settings of one service process, read from `TFCLIP_*` when constructed.

    A secret may come from a file instead: with `TFCLIP_SECRETS_DIR=/run/secrets`, the file `tfclip_admin_key` there
    stands for `TFCLIP_ADMIN_KEY`.

    Raises:
        pydantic.ValidationError: a value is out of range, or a combination is unsafe.
    """

    model_config = SettingsConfigDict(env_prefix="TFCLIP_", extra="ignore", frozen=True)

    data_dir: Path = Field(default_factory=default_data_directory, description="postgres/ frames/ index/ models/")
    database_url: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host/name; without it an embedded PostgreSQL is started"
    )
    database_connections: Annotated[int, Field(ge=2, le=500)] = 20

    weights: Path | None = Field(default=None, description="a .safetensors weights file; see `tfclip weights`")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000

    auth: Literal["keys", "off"] = "keys"
    admin_key: SecretStr | None = Field(default=None, description="the first admin key; made and printed when unset")

    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # Limits on what one upload may hold.
    max_body_bytes: Annotated[int, Field(ge=1024)] = 64 * MEBIBYTE
    max_uri_bytes: Annotated[int, Field(ge=1024)] = Field(default=64 * 1024, description="path and query string")
    max_frames: Annotated[int, Field(ge=1, le=100_000)] = Field(default=256, description="frames in one tracklet")
    max_frame_bytes: Annotated[int, Field(ge=1024)] = 8 * MEBIBYTE
    max_frame_side: Annotated[int, Field(ge=16)] = Field(default=4096, description="pixels")
    min_frame_side: Annotated[int, Field(ge=1)] = Field(default=8, description="pixels")
    max_pixels: Annotated[int, Field(ge=1024)] = Field(
        default=256 * 1024 * 1024, description="pixels in all frames of one tracklet together"
    )
    max_batch_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=4096 * MEBIBYTE, description="one archive of tracklets"
    )
    max_batch_tracklets: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="tracklets in one archive"
    )
    max_manifest_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=64 * MEBIBYTE, description="the manifest of one archive, which is held in memory"
    )
    max_batches: Annotated[int, Field(ge=1, le=1000)] = Field(default=4, description="archives read at a time")
    max_labels_bytes: Annotated[int, Field(ge=2)] = 16 * 1024
    max_clock_skew_seconds: Annotated[float, Field(ge=0)] = 300.0
    max_transit_cameras: Annotated[int, Field(ge=1, le=500)] = Field(
        default=200, description="cameras in a matrix of transit times"
    )
    max_uploads: Annotated[int, Field(ge=1)] = Field(default=32, description="requests with a body, read at a time")

    # Limits on what one search may ask for.
    max_rerank_top: Annotated[int, Field(ge=1, le=10_000)] = Field(default=1000, description="rows re-ranked")
    max_batch_queries: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="queries in one batch")
    max_export_places: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="places in one CSV or JSON export"
    )
    max_sheet_places: Annotated[int, Field(ge=1, le=500)] = Field(default=50, description="places on a contact sheet")
    # What one key may use; a key's own limits win over these.
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = Field(default=0, description="0: no limit")
    max_tracklets: Annotated[int, Field(ge=0)] = Field(default=0, description="stored by one key; 0: no limit")
    idempotency_seconds: Annotated[float, Field(ge=60, le=2_592_000)] = Field(
        default=86_400.0, description="for how long an Idempotency-Key and its answer are remembered"
    )

    max_model_bytes: Annotated[int, Field(ge=1024)] = Field(default=2048 * MEBIBYTE, description="one weights file")

    # Embedding.
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: faster on a GPU; descriptors within cosine 0.999"
    )
    frame_cap: Annotated[int, Field(ge=1)] = Field(
        default=16, description="frames of a tracklet that are embedded, spread evenly; all are stored"
    )
    batch_clips: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="clips computed together at most; 1 on a CPU, where that is fastest, 16 on a GPU"
    )
    min_purity: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.65, description="a tracklet below is flagged as a possible identity switch; 0 flags none"
    )
    queue_clips: Annotated[int, Field(ge=1)] = Field(default=256, description="clips waiting at most; then 503")
    decode_threads: Annotated[int, Field(ge=1)] = Field(default_factory=lambda: max(2, allowed_cores()))

    # The gallery index.
    index_rows: Literal["float32", "float16"] = Field(
        default="float32", description="float16 halves the memory; answers are the same"
    )
    index_drafts: Literal["auto", "on", "off"] = Field(
        default="auto", description="half as much memory again, for faster searches; auto: where they are"
    )
    index_device: str = Field(default="auto", description="auto: where descriptors are computed; cpu, cuda, ...")
    max_lag_seconds: Annotated[float, Field(gt=0)] = Field(
        default=5.0, description="an index that is behind for longer does not answer"
    )
    poll_seconds: Annotated[float, Field(gt=0)] = Field(default=1.0, description="how often an index looks for changes")
    recall_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.001, description="share of searches that are answered again by brute force, for a metric"
    )
    snapshot_seconds: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="least time between two snapshots of a changing index"
    )

    max_followers: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="requests that wait for changes (`GET /changes`) at a time"
    )
    max_proposal_tracklets: Annotated[int, Field(ge=1, le=50_000)] = Field(
        default=4000, description="tracklets without an identity that proposals cluster at most; 16 bytes for each two"
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("weights", "database_url", "admin_key", "batch_clips", mode="before")
    @classmethod
    def _empty_means_unset(cls, value: object) -> object:
        # Compose files and shells pass unset variables on as empty strings.
        return None if value == "" else value

    @field_validator("admin_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        # Keys are stored as plain SHA-256, which is sound for long random keys and for nothing else.
        if value is not None and not (24 <= len(value.get_secret_value()) <= 200):
            raise ValueError("an admin key has 24 to 200 characters; make one with: openssl rand -hex 24")
        if value is not None and not value.get_secret_value().isascii():
            raise ValueError("an admin key is plain ASCII: it travels in an HTTP header")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgresql+psycopg://")):
            raise ValueError("expected postgresql://user:password@host:port/database; there is no other dialect")
        return value

    @model_validator(mode="after")
    def _safe(self) -> "Settings":
        if self.auth == "off" and self.host not in LOOPBACK_HOSTS:
            raise ValueError(
                f"TFCLIP_AUTH=off with host {self.host} would open everything to the network; "
                f"bind one of {', '.join(LOOPBACK_HOSTS)} or leave TFCLIP_AUTH=keys"
            )
        if self.min_frame_side > self.max_frame_side:
            raise ValueError("TFCLIP_MIN_FRAME_SIDE is larger than TFCLIP_MAX_FRAME_SIDE")
        return self

    def folder(self, name: Literal["postgres", "frames", "index", "models"]) -> Path:
        """The part of the data directory called `name`."""
        return self.data_dir / name


def read_settings(**overrides: object) -> Settings:
    """Settings from the environment, with secrets from the folder `TFCLIP_SECRETS_DIR` where it is set.

    Args:
        overrides: values that win over the environment; `None` means not given.

    Raises:
        pydantic.ValidationError: as `Settings`.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    secrets = os.environ.get("TFCLIP_SECRETS_DIR") or None
    return Settings(_secrets_dir=secrets, **given)  # type: ignore[arg-type]
