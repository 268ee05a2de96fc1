# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""What is done to the foreign fleet, and how the classes' definitions label it."""

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable

from fleet import NAMES, address

PORTS = {"pg": 5432, "redis": 6379, "mariadb": 3306, "rabbitmq": 5672}


@dataclasses.dataclass
class Kind:
    name: str
    failure: str  # class/subclass; empty: a confounder
    culprits: list
    what: str
    inject: Callable
    heal: Callable
    hold: float = 0
    hidden: bool = False

    @property
    def kind(self):
        return "fault" if self.failure else "clean" if self.name == "clean" else "confounder"


def server(name):
    """A server without telemetry is named as its callers name it."""
    host, port = NAMES[name], PORTS[name]
    return [{"type": "external", "name": f"{h}:{port}"} for h in (name, address(host))]


def app(service, host):
    return [{"type": "instance", "name": f"{service}@{host}"}] + [{"type": "service", "service": service}, {"service": service}]


def link(a, b, *ends):
    """Between two hosts, or where only that is seen, between who stands on them."""
    pairs = [(a, b)] + [(x, y) for x in (a, *ends) for y in (b, *ends) if x != y]
    return [{"type": "link", "name": f"{x}→{y}"} for pair in pairs for x, y in (pair, pair[::-1])]


ALL, CLEAN = [], Kind("clean", "", [], "", lambda f: None, lambda f: None)


def fault(name, failure, culprits, what, inject, heal, **kwargs):
    ALL.append(Kind(name, failure, culprits, what, inject, heal, **kwargs))


def killed(name, culprits):
    fault(f"kill_{name}", "crash/process_exit", culprits, f"kill -9 of {name}, started again at the end",
          lambda f: f[name].kill(), lambda f: f[name].start())


def stopped(name, culprits):
    fault(f"stop_{name}", "crash/hang", culprits, f"SIGSTOP of {name}",
          lambda f: f[name].send(signal.SIGSTOP), lambda f: f[name].send(signal.SIGCONT))



def nothing(_):
    pass


# Crashes.

for _name, _who in (("redis", server("redis")), ("postgres", server("pg")), ("mariadb", server("mariadb")), ("orders", app("orders", "app1")),
                    ("billing", app("billing", "app2")), ("web1", app("web", "web1")), ("rabbitmq", server("rabbitmq"))):
    killed(_name, _who)
for _name, _who in (("redis", server("redis")), ("billing", app("billing", "app2")), ("web2", app("web", "web2")), ("postgres", server("pg"))):
    stopped(_name, _who)
fault("kill_worker", "crash/process_exit", app("worker", "app1"), "kill -9 of the consumer of the queue",
      lambda f: f["worker"].kill(), lambda f: f["worker"].start(), hold=75)


def locked(f, hold):
    """A transaction that somebody forgot: it locks the table, and all wait."""
    if hold:
        f.locker = subprocess.Popen(f.hosts["data1"].argv(["psql", "-h", f.hosts["data1"].state / "pg", "-U", "postgres", "-d", "shop", "-qAtc",
                                                           "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120)"]), stdout=subprocess.DEVNULL)
    else:
        f.locker.kill()
        f.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()")


fault("lock_in_postgres", "crash/hang", server("pg"), "a forgotten transaction locks a table, no query on it completes",
      lambda f: locked(f, True), lambda f: locked(f, False))


# Cuts.

def cut(f, a, b, ways=("INPUT", "OUTPUT")):
    for chain in ways:
        f.hosts[a].iptables("-A", chain, "-s" if chain == "INPUT" else "-d", address(b), "-j", "DROP")


def cutting(name, failure, a, b, ends, what, **kwargs):
    fault(name, failure, link(a, b, *ends), what, lambda f: cut(f, a, b, **kwargs), lambda f: f.hosts[a].open())


cutting("cut_app1_data1", "network_partition/partial", "app1", "data1", ("orders@app1", "redis:6379", "pg:5432"), "no packet between orders' host and its databases'")
cutting("cut_web1_app2", "network_partition/partial", "web1", "app2", ("web@web1", "billing@app2"), "no packet between a web replica and billing")
cutting("cut_one_way", "network_partition/one_way", "app2", "data2", ("billing@app2", "mariadb:3306"), "packets of billing's host to MariaDB's are lost", ways=("OUTPUT",))


def blocked(f):
    f.hosts["app1"].iptables("-A", "OUTPUT", "-d", address("data1"), "-p", "tcp", "--dport", "6379", "-j", "DROP")
    f.hosts["app1"].iptables("-A", "INPUT", "-s", address("data1"), "-p", "tcp", "--sport", "6379", "-j", "DROP")


fault("port_blocked", "network_partition/partial", link("app1", "data1", "orders@app1", "redis:6379"), "Redis' port is blocked for orders only",
      blocked, lambda f: f.hosts["app1"].open())
fault("isolated_data2", "network_partition/complete", [{"type": t, "name": n} for t in ("node", "zone", "link") for n in ("data2",)] + link("app2", "data2"),
      "MariaDB's and RabbitMQ's host is cut off from all", lambda f: [f.hosts["data2"].iptables("-A", c, *w, "-j", "DROP") for c, w in
                                                                     (("INPUT", ("-i", "eth0")), ("OUTPUT", ("-o", "eth0")))], lambda f: f.hosts["data2"].open())


def unnamed(f, *names):
    for host in ("web1", "web2"):
        f.hosts[host].names(*names)


fault("name_lookup", "network_partition/dns", [{"type": t, "name": n} for t in ("external", "service", "link") for n in ("billing:8080", "billing")] + [{"service": "billing"}], "the name of billing is not found any more",
      lambda f: unnamed(f, "billing"), unnamed)


def certificate(f, days):
    f.certify(days)
    f.sql("SELECT pg_reload_conf()")
    time.sleep(1)
    f.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")  # they come again


fault("certificate_expired", "network_partition/tls", server("pg"), "PostgreSQL is reloaded with a certificate that has expired; clients verify it",
      lambda f: certificate(f, -1), lambda f: certificate(f, 30))


# Wrong answers.

def corrupt(f, text):
    (f.dir / "run/prices-web2.json").write_text(text)


fault("bug_in_replica", "byzantine/error_response", app("web", "web2"), "a file of one replica is corrupt: it answers 500",
      lambda f: corrupt(f, '{"each":'), lambda f: corrupt(f, '{"each": 5}'))


def released(f, version):
    f.upstreams("web2", reload=True)
    time.sleep(1)
    f["web1"].stop()
    f["web1"].release(version)
    f["web1"].start()
    f.upstreams("web1", "web2", reload=True)


fault("bad_release", "byzantine/faulty_release", [{"type": "version", "name": n} for n in ("1.1.0", "web 1.1.0", "web@1.1.0")] + app("web", "web1"),
      "one replica gets a new version that answers 500", lambda f: released(f, "1.1.0"), lambda f: released(f, "1.0.0"), hold=40)


# Exhaustion.

def fill(f, full):
    disk = f.hosts["data1"].state / "pg"
    if full:
        f.hosts["data1"].sh("sh", "-c", f"dd if=/dev/zero of={disk}/ballast bs=64k; dd if=/dev/zero of={disk}/ballast2 bs=1k", check=False)
    else:
        f.hosts["data1"].sh("rm", "-f", disk / "ballast", disk / "ballast2")
        time.sleep(1)
        f["postgres"].ensure()


fault("disk_full", "resource_exhaustion/disk", server("pg"), "PostgreSQL's disk is full", lambda f: fill(f, True), lambda f: fill(f, False))


def drained(f, drain):
    """Somebody takes all connections that PostgreSQL has, and those that are in use are closed."""
    if drain:
        take = "until psql 'host=pg user=shop password=shop dbname=shop' -qAtc 'SELECT pg_sleep(300)'; do sleep 0.3; done"
        f.takers = [subprocess.Popen(f.hosts["web1"].argv(["sh", "-c", take]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(24)]
        for _ in range(4):
            time.sleep(1)
            f.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop' AND query NOT LIKE '%pg_sleep%'")
    else:
        for taker in f.takers:
            taker.kill()
        f.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND pid <> pg_backend_pid()")


fault("connections_drained", "resource_exhaustion/connection_pool", server("pg"), "max_connections of PostgreSQL are used up",
      lambda f: drained(f, True), lambda f: drained(f, False))


def redis_full(f, full):
    used = int(next(line for line in f.redis("INFO", "memory").splitlines() if line.startswith("used_memory:")).split(":")[1])
    f.redis("CONFIG", "SET", "maxmemory", str(int(used * 0.7)) if full else "0")


fault("redis_memory", "resource_exhaustion/memory", server("redis"), "Redis is at maxmemory, and evicts nothing",
      lambda f: redis_full(f, True), lambda f: redis_full(f, False))


def leak(f, name, on, limit):
    flag = f.dir / "run" / f"{name}-cache"
    (flag.touch if on else lambda: flag.unlink(missing_ok=True))()
    if limit:
        group = f[name].groups["memory"] / "memory.limit_in_bytes"
        group.write_text(str(limit if on else -1))
    if not on:
        f[name].kill()
        f[name].start()


fault("oom_kill_orders", "resource_exhaustion/oom_kill", app("orders", "app1"), "orders leaks until the kernel kills it at its limit",
      lambda f: leak(f, "orders", True, 300 << 20), lambda f: leak(f, "orders", False, -1), hold=35)
fault("heap_full_billing", "resource_exhaustion/memory", app("billing", "app2"), "billing leaks until its heap is full: OutOfMemoryError",
      lambda f: leak(f, "billing", True, 0), lambda f: leak(f, "billing", False, 0), hold=40)


def quota(f, name, share):
    (f[name].groups["cpu"] / "cpu.cfs_quota_us").write_text(str(int(share * 100000) if share else -1))


fault("cpu_quota_billing", "resource_exhaustion/cpu", app("billing", "app2"), "billing may use 2 % of a processor",
      lambda f: quota(f, "billing", 0.02), lambda f: quota(f, "billing", 0), hold=35)
fault("pool_drained_billing", "resource_exhaustion/connection_pool", app("billing", "app2"), "slow reports hold all of billing's connections to MariaDB",
      lambda f: f.load(1.2, report=0.3), lambda f: f.load())
fault("rate_limited", "resource_exhaustion/quota", [{"type": "client"}] + [{"type": "external", "name": "edge:80"}], "nginx turns away more than 3 requests a second",
      lambda f: f.upstreams("web1", "web2", limit=3, reload=True), lambda f: f.upstreams("web1", "web2", reload=True), hidden=True)


# Confounders.

def confounder(name, what, inject, heal=nothing, **kwargs):
    fault(name, "", [], what, inject, heal, **kwargs)


def rolling(f):
    for name, other in (("web1", "web2"), ("web2", "web1")):
        f.upstreams(other, reload=True)
        time.sleep(3)
        f[name].stop()
        f[name].start()
        f.upstreams("web1", "web2", reload=True)
        time.sleep(3)


def restarted(f, name, number=signal.SIGTERM):
    f[name].stop(number)
    f[name].start()


confounder("rolling_restart_web", "each replica is taken out of nginx, ended by SIGTERM and started again", rolling)
confounder("restart_postgres", "pg_ctl restart -m fast", lambda f: restarted(f, "postgres", signal.SIGINT))
confounder("restart_redis", "Redis is ended by SIGTERM and started again", lambda f: restarted(f, "redis"))
confounder("restart_orders", "orders is ended by SIGTERM and started again", lambda f: restarted(f, "orders"))
confounder("traffic_spike", "twice the usual traffic, and it is served", lambda f: f.load(2), lambda f: f.load())
confounder("slow_report", "a report that takes long, now and then", lambda f: f.load(report=0.02), lambda f: f.load())
confounder("wrong_password", "a client with wrong credentials is turned away (401)", lambda f: f.load(1.2, unauthorized=0.3), lambda f: f.load())


def psql(f, host, *argv):
    return f.hosts[host].sh("psql", *argv, check=False)


confounder("database_password", "somebody tries a wrong password on PostgreSQL, again and again",
           lambda f: [(psql(f, "web1", "host=pg user=shop password=guess dbname=shop", "-c", "SELECT 1"), time.sleep(1)) for _ in range(10)])
confounder("collect_garbage", "billing collects all of its garbage, six times", lambda f: [(f.hosts["app2"].sh("jcmd", str(f["billing"].process.pid), "GC.run", check=False),
                                                                                           time.sleep(2)) for _ in range(6)])
confounder("paused_redis", "Redis stands still for 1.5 s", lambda f: (f["redis"].send(signal.SIGSTOP), time.sleep(1.5), f["redis"].send(signal.SIGCONT)))
confounder("cron_job", "an instrumented job comes, asks, and goes",
           lambda f: [(f.job("web1"), time.sleep(4)) for _ in range(3)])
confounder("agent_killed", "the agent of a host is killed and started again", lambda f: (f["otelcol-app1"].kill(), time.sleep(15), f["otelcol-app1"].start()))
