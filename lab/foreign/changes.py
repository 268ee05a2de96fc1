# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""Confounders: what changes about a fleet, and about how it tells of itself."""

import pathlib
import time

from faults import confounder, restarted
from fleet import HOSTS, address

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def balanced(f, *hosts):
    f.upstreams(*hosts, reload=True)
    time.sleep(1)


def renewed(f, hosts=("web1", "web2"), **env):
    """One replica after the other is taken out, ended by SIGTERM and started with other variables."""
    for name in hosts:
        balanced(f, *({"web1", "web2"} - {name}))
        f[name].env.update(env)
        restarted(f, name)
        balanced(f, "web1", "web2")


# Releases.

confounder("restart_billing", "Java is ended by SIGTERM; its start is cold and long", lambda f: restarted(f, "billing"))
confounder("restart_worker", "the consumer is ended by SIGTERM and started again", lambda f: restarted(f, "worker"))
confounder("noisy_start", "a start that writes errors and does no harm",
           lambda f: renewed(f, WEB_SAYS="config /etc/shop.yaml not found, using defaults;could not load plugin: no module named discounts;failed to read cache file: it will be rebuilt"),
           lambda f: renewed(f, WEB_SAYS=""))


def warming(f):
    """The balancer asks /healthz, as balancers do, and sends nobody before it is well."""
    balanced(f, "web2")
    f["web1"].stop()
    f["web1"].env["WEB_WARMS_UP"] = 12
    ready, f["web1"].ready = f["web1"].ready, None
    f["web1"].start()
    f["web1"].ready = ready
    for _ in range(60):
        time.sleep(0.5)
        if ready():
            break
    f["web1"].env["WEB_WARMS_UP"] = 0
    balanced(f, "web1", "web2")


confounder("warm_up", "the health check of a replica answers 503 while it warms up", warming)


# Scale.

def scaled(f, up):
    if up:
        f.web("app2", "web3").start()
        balanced(f, "web1", "web2", "app2")
    else:
        balanced(f, "web1", "web2")
        f["web3"].stop()
        f.servers.pop("web3")


confounder("scaled_up", "a third replica comes, and goes again", lambda f: scaled(f, True), lambda f: scaled(f, False), hold=30)


def retired(f, gone):
    """Another host takes over, and the old one is turned off with all that is on it."""
    if gone:
        scaled(f, True)
        balanced(f, "web1", "app2")
        f["web2"].stop()
        f["otelcol-web2"].stop()
        f.hosts["web2"].sh("ip", "link", "set", "eth0", "down")
    else:
        f.hosts["web2"].sh("ip", "link", "set", "eth0", "up")
        f["otelcol-web2"].start()
        f["web2"].start()
        scaled(f, False)


confounder("host_retired", "another host takes over a replica, the old one is turned off in order", lambda f: retired(f, True), lambda f: retired(f, False), hold=60)


def addressed(f, number):
    """A container that is made anew gets another address."""
    balanced(f, "web1")
    f["web2"].stop()
    host = f.hosts["web2"]
    host.sh("ip", "addr", "flush", "dev", "eth0")
    HOSTS["web2"] = number
    host.sh("ip", "addr", "add", f"{address('web2')}/24", "dev", "eth0")
    f["web2"].ready = f.url("web2", 8000)
    f["web2"].start()
    balanced(f, "web1", "web2")


confounder("new_address", "a host comes back with another address", lambda f: addressed(f, 52), lambda f: addressed(f, 12), hold=40)


def moved(f, to):
    """A standby takes over by its name; who is still connected to the old one is sent away."""
    if to == "data2":
        f.add("data2", "redis2", ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", f.hosts["data2"].state,
                                  "--replicaof", address("data1"), "6379"]).start()
        time.sleep(4)
        f.hosts["data2"].sh("redis-cli", "REPLICAOF", "NO", "ONE")
    for host in f.hosts.values():
        host.names(**({"redis": to} if to == "data2" else {}))
    f.hosts["data1" if to == "data2" else "data2"].sh("redis-cli", "CLIENT", "KILL", "TYPE", "normal")
    if to == "data1":
        time.sleep(2)
        f["redis2"].stop()
        f.servers.pop("redis2")


confounder("name_moved", "the name of Redis is moved to a standby, which was promoted", lambda f: moved(f, "data2"), lambda f: moved(f, "data1"), hold=40)


# Telemetry and clocks.

def muted(f, mute):
    """What its SDK exports is lost on the way to its agent; it works on."""
    f.hosts["app1"].iptables("-A" if mute else "-D", "OUTPUT", "-o", "lo", "-p", "tcp", "--dport", "4318", "-j", "DROP")


confounder("exporter_outage", "no telemetry of orders and worker gets to their agent; they work on", lambda f: muted(f, True), lambda f: muted(f, False), hold=75)
confounder("sampling_changed", "web keeps one trace in ten from now on",
           lambda f: renewed(f, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.1"),
           lambda f: renewed(f, OTEL_TRACES_SAMPLER="parentbased_always_on"), hold=40)
confounder("agent_upgraded", "the agents of two hosts are ended by SIGTERM and started again, one after the other",
           lambda f: [(restarted(f, name), time.sleep(4)) for name in ("otelcol-app1", "otelcol-data1")])
AGENTS = ("edge", "web1", "web2", "app1", "app2", "data1", "data2")
confounder("agents_upgraded_at_once", "all agents are ended by SIGTERM, and started again",
           lambda f: ([f[f"otelcol-{host}"].stop() for host in AGENTS], [f[f"otelcol-{host}"].start() for host in AGENTS]))
confounder("gateway_killed", "the gateway is killed and started again", lambda f: (f["otelcol-ops"].kill(), f["otelcol-ops"].start()), hold=30)
confounder("gateway_restarted", "the gateway is ended by SIGTERM and started again", lambda f: (restarted(f, "otelcol-ops"), time.sleep(15)), hold=30)


def stepped(f, seconds):
    """A replica whose clock is a minute ahead, until somebody sets it right under it."""
    clock = f.dir / "run/clock"
    if seconds:
        clock.write_text("+60")
        renewed(f, ("web2",), LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=clock, FAKETIME_NO_CACHE=1, FAKETIME_DONT_FAKE_MONOTONIC=1, DONT_FAKE_MONOTONIC=1)
        time.sleep(15)
        clock.write_text("+0")
    else:
        for name in ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE"):
            f["web2"].env.pop(name, None)
        renewed(f, ("web2",))


if FAKETIME.exists():
    confounder("clock_stepped", "the clock of a replica is a minute ahead, and is then set right under it", lambda f: stepped(f, 60), lambda f: stepped(f, 0), hold=40)
