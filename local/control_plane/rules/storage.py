"""Rules of Cloud Storage: buckets, and objects where no emulator keeps them.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

import google_crc32c

from local.control_plane.call import Call
from local.control_plane.catalogues import MULTI_REGIONS, is_place
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Answer, Refused, Resource, now, with_defaults

RULES: Final = Rules(names={"storage.buckets.insert": r"(?!goog)[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"})

_CLASSES: Final = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
_SOFT_DELETE_DAYS: Final = (7, 90)

RULES.refuses(
    "storage.buckets", "Invalid storage class", lambda call, r: r.get("storageClass", "STANDARD") not in _CLASSES
)
RULES.refuses(
    "storage.buckets", "The specified location constraint is not valid.", lambda call, r: not is_place(_location(r))
)
RULES.refuses(
    "storage.buckets",
    "The soft delete retention must be 0, or 7 to 90 days",
    lambda call, r: not _is_retention(int(r.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0))),
)


@RULES.completes("storage.buckets")
def _complete_bucket(call: Call, bucket: Resource, _key: str) -> None:
    bucket["location"] = _location(bucket).upper()
    kind = "multi-region" if bucket["location"] in MULTI_REGIONS else "region"
    bucket.update(id=bucket["name"], projectNumber=call.world.number, metageneration="1", locationType=kind)
    soft_delete = bucket.setdefault("softDeletePolicy", {"retentionDurationSeconds": "604800"})
    with_defaults(soft_delete, effectiveTime=now())
    with_defaults(bucket, storageClass="STANDARD", rpo="DEFAULT")
    bucket.setdefault("iamConfiguration", {}).setdefault("publicAccessPrevention", "inherited")


@RULES.handles("storage.buckets.getStorageLayout")
def _layout(call: Call) -> Resource:
    bucket = call.existing(call.key.removesuffix("/storageLayout"))
    return {"kind": "storage#storageLayout", "bucket": bucket["name"], "location": bucket["location"]}


@RULES.handles("storage.objects.insert")
def _insert_object(call: Call) -> Resource:
    metadata, data = parts_of(call.query, call.content)
    bucket, name = call.arguments["bucket"], call.query.get("name") or metadata["name"]
    key = f"storage.googleapis.com/storage/v1/b/{bucket}/o/{name}"
    call.existing(key.partition("/o/")[0])
    _require_generation(call, key)
    generation = call.world.next_number()
    resource = {
        **{"kind": "storage#object", "id": f"{bucket}/{name}/{generation}", "name": name, "bucket": bucket},
        **{"generation": generation, "metageneration": "1", "storageClass": "STANDARD", "timeCreated": now()},
        **{"updated": now(), "size": str(len(data)), "contentType": "application/octet-stream"},
        "md5Hash": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
        "crc32c": base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode(),
        "mediaLink": f"https://storage.googleapis.com/download/storage/v1/b/{bucket}/o/{name}",
        "selfLink": f"https://{key}",
        **metadata,
    }
    call.world.contents[key] = data
    return call.store(key, resource)


@RULES.handles("storage.objects.get")
def _read_object(call: Call) -> Answer:
    resource = call.existing()
    return call.world.contents[call.key] if call.query.get("alt") == "media" else resource


@RULES.handles("storage.objects.list")
def _list_objects(call: Call) -> Resource:
    prefix, objects = call.query.get("prefix", ""), f"{call.key}/"
    call.existing(call.key.removesuffix("/o"))
    names = sorted(key for key in call.world.resources if key.startswith(objects + prefix))
    return {"kind": "storage#objects", "items": [call.world.resources[key] for key in names]}


@RULES.handles("storage.objects.delete")
def _delete_object(call: Call) -> Resource:
    call.existing()
    _require_generation(call, call.key)
    call.world.remove(call.key)
    return {}


def _require_generation(call: Call, key: str) -> None:
    """Refuse a change whose precondition names another generation than the present one; 0 is that of no object."""
    wanted = call.query.get("ifGenerationMatch")
    if wanted is not None and wanted != call.world.resources.get(key, {}).get("generation", "0"):
        raise Refused(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")


def parts_of(query: object, content: bytes) -> tuple[Resource, bytes]:
    """The metadata and the data of an upload, which is in one part or in two."""
    if not (isinstance(query, dict) and query.get("uploadType") == "multipart"):
        return {}, content
    pieces = content.split(b"\r\n\r\n", 2)
    if len(pieces) != 3:
        raise Refused(400, "Malformed multipart body.")
    metadata: Resource = json.loads(pieces[1].rpartition(b"\r\n--")[0])
    return metadata, pieces[2].rpartition(b"\r\n--")[0]


def _location(bucket: Resource) -> str:
    return str(bucket.get("location", "US"))


def _is_retention(seconds: int) -> bool:
    shortest, longest = (days * 86400 for days in _SOFT_DELETE_DAYS)
    return seconds == 0 or shortest <= seconds <= longest
