# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""Breaks a fleet that Faultline was not made for, and scores what it says.

    run.py --out DIR [--only kill_redis,disk_full] [--list]
"""

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import changes  # noqa: F401  pylint: disable=unused-import  # each adds its kinds
import chores  # noqa: F401  pylint: disable=unused-import
import faults
import fleet
import habits  # noqa: F401  pylint: disable=unused-import

LEVELS = {"failure.detected", "failure.revised", "failure.cleared"}


def stamp(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


class Ears:
    """What the gateway has said so far."""

    def __init__(self, path):
        self.path, self.offset, self.said = path, 0, []

    def listen(self):
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.offset += len(line)
                    self.said += list(events(json.loads(line)))
        return self.said

    def open(self):
        held = {}
        for event in self.listen():
            key = (event.get("service.name"), event.get("service.instance.id"), event.get("host.name"), event.get("failure.culprit.name"))
            if event["event"] == "failure.cleared":
                held.pop(key, None)
            elif event["event"] in LEVELS:
                held[key] = event
        return held


def events(batch):
    for resource in batch.get("resourceLogs", []):
        for scope in resource.get("scopeLogs", []):
            for record in scope.get("logRecords", []):
                told = {a["key"]: next(iter(a["value"].values()), None) for a in record.get("attributes", [])}
                told["event"] = record.get("eventName") or told.get("event.name")
                told["at"] = int(record.get("timeUnixNano") or record["observedTimeUnixNano"]) / 1e9
                told["text"] = record.get("body", {}).get("stringValue", "")
                yield told


def words(event, start):
    if event["event"] not in LEVELS:
        return f"+{event['at'] - start:.1f} {event['event']}"
    name = event.get("failure.culprit.name") or event.get("failure.culprit.service.name")
    return (f"+{event['at'] - start:.1f} {event['event'][8:]} {event.get('failure.class')}/{event.get('failure.subclass', '')} "
            f"{event.get('failure.culprit.type')} {name} {event.get('failure.confidence', 0)}")


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--out", default=".cache/foreign/run")
    flags.add_argument("--only", default="", help="kinds, with commas between; `faults` or `confounders` for all of them")
    flags.add_argument("--rate", type=float, default=15, help="customers' requests a second")
    flags.add_argument("--hold", type=float, default=25, help="seconds that a fault lasts")
    flags.add_argument("--tail", type=float, default=40, help="seconds to wait at most for a verdict to go")
    flags.add_argument("--clean", type=float, default=60, help="seconds of peace at the beginning")
    flags.add_argument("--list", action="store_true")
    o = flags.parse_args()
    if o.list:
        for kind in faults.ALL:
            print(f"{kind.name:26} {kind.failure or 'no class':45} {kind.what}")
        return 0
    absent = missing()
    if absent:
        print("the foreign fleet is skipped; missing: " + ", ".join(absent))
        return 0
    wanted = [w for w in o.only.split(",") if w]
    unknown = set(wanted) - {k.name for k in faults.ALL} - {"faults", "confounders"}
    if unknown:
        flags.error(f"unknown: {', '.join(sorted(unknown))}; --list shows what there is")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    f = fleet.Fleet(o.out, o.rate)
    try:
        f.start()
        run(f, o, [k for k in faults.ALL if not wanted or {k.name, k.kind + "s"} & set(wanted)])
    finally:
        f.close()
    subprocess.run([fleet.ROOT / "bin/lab", "score", o.out], check=False)
    return 0


def missing():
    absent = [] if os.geteuid() == 0 else ["root"]
    absent += [p for p in ("ip", "iptables", "nsenter", "nginx", "redis-server", "mariadbd", "psql", "node", "java", "openssl") if not shutil.which(p)]
    absent += [str(p) for p in (fleet.PG / "postgres", "/usr/lib/rabbitmq/bin/rabbitmq-server", fleet.TOOLS / "py/bin/python",
                                fleet.TOOLS / "node/node_modules", fleet.TOOLS / "java/cls", fleet.ROOT / "bin/otelcol-faultline") if not os.path.exists(p)]
    return absent


def run(f, o, kinds):
    ears = Ears(f.dir / "part/events.jsonl")
    account = open(f.dir / "part/injections.jsonl", "a", encoding="utf-8", buffering=1)  # pylint: disable=consider-using-with

    def note(number, kind, start, end, failed=""):
        account.write(json.dumps({"id": f"{number:04}-{kind.name}", "name": kind.name, "kind": kind.kind, "class": kind.failure.split("/")[0],
                                  "subclass": kind.failure.partition("/")[2], "culprits": kind.culprits, "start": stamp(start), "end": stamp(end),
                                  "hidden": kind.hidden} | ({"failed": failed} if failed else {})) + "\n")

    time.sleep(15)
    start = time.time()
    print("serving; clean for", o.clean, "s", flush=True)
    time.sleep(o.clean)
    note(0, faults.CLEAN, start, time.time())
    for number, kind in enumerate(kinds, 1):
        before = len(ears.listen())
        start, failed = time.time(), ""
        try:
            kind.inject(f)
            time.sleep(max(0, start + (kind.hold or o.hold) - time.time()))
        except Exception as error:  # pylint: disable=broad-except
            failed = repr(error)
        try:
            kind.heal(f)
        except Exception as error:  # pylint: disable=broad-except
            failed = failed or repr(error)
        end = time.time()
        while time.time() < end + o.tail and (time.time() < end + 12 or ears.open()):
            time.sleep(0.5)
        for server in f.servers.values():
            server.ensure()
        note(number, kind, start, end, failed)
        customers = [json.loads(line) for line in open(f.dir / "customers.jsonl", encoding="utf-8")]
        hurt = [c for c in customers if start <= c["at"] <= end]
        bad = sum(1 for c in hurt if not isinstance(c["code"], int) or c["code"] >= 500)
        print(f"\n{time.strftime('%H:%M:%S')} {kind.name}: {kind.failure or 'no class'}; customers: {len(hurt)} calls, {bad} failed {failed}", flush=True)
        for event in ears.listen()[before:]:
            print("   ", words(event, start), "|", event["text"][:230], flush=True)


if __name__ == "__main__":
    sys.exit(main())
