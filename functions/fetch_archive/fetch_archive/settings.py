"""Settings of the function `fetch_archive`.

Its modules and tests import it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitcoin_pipeline.settings import setting, url_of, whole

_HTTP = url_of("https", "http")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the environment holds."""

    lake: str = setting("PIPELINE_LAKE", "the bucket that holds raw/")
    staging: str = setting("PIPELINE_STAGING", "the bucket of temporary objects, which has no soft delete")
    archive_url: str = setting("BYBIT_ARCHIVE_URL", "where the archive's files are", _HTTP, "https://public.bybit.com")
    listing_url: str = setting(
        "BYBIT_LISTING_URL",
        "where the archive's bucket is listed",
        _HTTP,
        "https://s3.ap-southeast-1.amazonaws.com/public.bybit.com/",
    )
    ban_s: int = setting(
        "BYBIT_BAN_SECONDS", "how long a ban lasts, 5 to 10 minutes were seen", whole("seconds", 9999), 600
    )
