"""Rules of Cloud DNS: records are changed by a list of additions and deletions.

https://cloud.google.com/dns/docs/reference/rest/v1
"""

from __future__ import annotations

from typing import Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource, now, with_defaults

RULES: Final = Rules(names={"dns.managedZones.create": r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"})

RULES.refuses("dns.managedZones", "dnsName must end with a dot", lambda call, r: not r.get("dnsName", "").endswith("."))


@RULES.completes("dns.managedZones")
def _complete(call: Call, zone: Resource, _key: str) -> None:
    with_defaults(zone, id=call.world.next_number(), nameServers=["ns-gcp-private.googledomains.com."])
    with_defaults(zone, visibility="public", creationTime=now())


@RULES.handles("dns.changes.create")
def _change(call: Call) -> Resource:
    zone = call.key.rpartition("/")[0]
    suffix = call.existing(zone)["dnsName"]
    for record in call.body.get("deletions", []):
        call.existing(_record_key(zone, record))
        call.world.remove(_record_key(zone, record))
    for record in call.body.get("additions", []):
        if not record["name"].endswith(suffix):
            raise Refused(400, f"Invalid value for 'entity.change.additions': {record['name']} is not in {suffix}")
        if _record_key(zone, record) in call.world.resources:
            raise Refused(409, f"The resource '{record['name']}' already exists", "alreadyExists")
        call.store(_record_key(zone, record), {"kind": "dns#resourceRecordSet", **record})
    number = call.world.next_number()
    change = {"kind": "dns#change", "id": number, "status": "done", "startTime": now(), **call.body}
    return call.store(f"{call.key}/{number}", change)


@RULES.handles("dns.resourceRecordSets.list")
def _records(call: Call) -> Resource:
    wanted = {name: call.query[name] for name in ("name", "type") if name in call.query}
    found = [item for item in call.world.below(call.key) if wanted.items() <= item.items()]
    return {"kind": "dns#resourceRecordSetsListResponse", "rrsets": found}


@RULES.handles("dns.managedZones.delete")
def _delete(call: Call) -> Resource:
    call.existing()
    if call.world.below(f"{call.key}/rrsets"):
        raise Refused(400, "The zone is not empty: it has records of its own", "containerNotEmpty")
    call.world.remove(call.key)
    return {}


def _record_key(zone: str, record: Resource) -> str:
    return f"{zone}/rrsets/{record['name']}:{record['type']}"
