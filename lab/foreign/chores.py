# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""Confounders: what operators do to servers on purpose."""

import signal
import subprocess
import time

from faults import confounder, restarted
from fleet import address


def start(f, host, *argv):
    """Runs beside the rest, until the fleet is taken down if nobody ends it."""
    return subprocess.Popen(f.hosts[host].argv(argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# nginx.

confounder("nginx_reload", "nginx is reloaded with another order of upstreams, three times",
           lambda f: [(f.upstreams(*hosts, reload=True), time.sleep(3)) for hosts in (("web2", "web1"), ("web1", "web2"), ("web2", "web1"))],
           lambda f: f.upstreams("web1", "web2", reload=True))
confounder("nginx_drain", "one replica is taken out of nginx and goes on idle; then it is put back",
           lambda f: f.upstreams("web1", reload=True), lambda f: f.upstreams("web1", "web2", reload=True))


def rotated(f):
    """As logrotate does it: by a new name and SIGUSR1, and by cutting off the ones that stay open."""
    logs = f.hosts["edge"].logs
    (logs / "nginx-error.log").rename(logs / "nginx-error.log.1")
    f["nginx"].process.send_signal(signal.SIGUSR1)
    for name in ("web1", "orders", "postgres", "rabbitmq"):
        f[name].log.write_bytes(b"")


confounder("log_rotation", "logs are rotated: nginx by SIGUSR1, others by copytruncate", rotated)


def upgraded(f):
    """Both take calls for a while, then the new one is taken back."""
    f["nginx"].process.send_signal(signal.SIGUSR2)
    time.sleep(8)
    f.hosts["edge"].sh("kill", "-QUIT", (f.hosts["edge"].state / "nginx.pid").read_text().strip())


confounder("nginx_upgrade", "a new binary of nginx is tried beside the old one (USR2), and taken back (QUIT)", upgraded)


# Redis.

confounder("redis_saves", "BGSAVE and BGREWRITEAOF", lambda f: (f.redis("BGSAVE"), time.sleep(3), f.redis("BGREWRITEAOF")))
confounder("redis_flushed", "FLUSHALL: all caches are cold", lambda f: f.redis("FLUSHALL"))
confounder("redis_clients_killed", "CLIENT KILL: all connections to Redis are closed, and come again",
           lambda f: [(f.redis("CLIENT", "KILL", "TYPE", "normal"), time.sleep(4)) for _ in range(3)])


def evicting(f, on):
    used = int(next(line for line in f.redis("INFO", "memory").splitlines() if line.startswith("used_memory:")).split(":")[1])
    f.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru" if on else "noeviction")
    f.redis("CONFIG", "SET", "maxmemory", str(int(used * 0.97)) if on else "0")


confounder("redis_evicts", "a cache at maxmemory evicts what is old, as it was told to", lambda f: evicting(f, True), lambda f: evicting(f, False))
confounder("redis_scanned", "somebody looks through Redis with --bigkeys and MONITOR",
           lambda f: (start(f, "data1", "timeout", "8", "redis-cli", "MONITOR"), f.redis("--bigkeys"), f.redis("KEYS", "*")))


# PostgreSQL.

confounder("postgres_vacuum", "CHECKPOINT, and VACUUM FULL of a table that nobody uses",
           lambda f: [f.sql(line, "shop") for line in ("CHECKPOINT", "VACUUM FULL archive", "REINDEX TABLE archive", "ANALYZE", "CHECKPOINT")])
confounder("postgres_dump", "pg_dump at full speed, to another host", lambda f: [f.hosts["ops"].sh(
    "env", "PGPASSWORD=shop", "sh", "-c", "pg_dump -h pg -U shop -d shop -t orders > /dev/null", check=False) for _ in range(4)])
SHOP = "FROM pg_stat_activity WHERE usename = 'shop' AND pid <> pg_backend_pid()"
confounder("postgres_terminate", "an admin ends all sessions (pg_terminate_backend); pools open new ones",
           lambda f: [(f.sql(f"SELECT pg_terminate_backend(pid) {SHOP}"), time.sleep(5)) for _ in range(3)])
confounder("postgres_cancel", "an analyst's long query is cancelled, again and again", lambda f: [f.hosts["ops"].sh(
    "env", "PGPASSWORD=shop", "PGOPTIONS=-c statement_timeout=1500", "psql", "-h", "pg", "-U", "shop", "-d", "shop", "-c",
    "SELECT count(*) FROM orders a, orders b, orders c", check=False) for _ in range(6)])


def reaping(f, seconds):
    f.sql(f"ALTER SYSTEM SET idle_session_timeout = '{seconds}s'")
    f.sql("SELECT pg_reload_conf()")
    f.load(0.2 if seconds else 1)


confounder("postgres_reaps", "the server ends sessions that are idle for 3 s, at night", lambda f: reaping(f, 3), lambda f: reaping(f, 0), hold=40)
confounder("postgres_reload", "a setting is changed and the configuration reloaded",
           lambda f: [f.sql(line) for line in ("ALTER SYSTEM SET work_mem = '8MB'", "SELECT pg_reload_conf()")])
confounder("postgres_short_lock", "a column is added: the table is locked for a second",
           lambda f: f.sql("BEGIN; ALTER TABLE orders ADD COLUMN IF NOT EXISTS gift boolean; SELECT pg_sleep(1); COMMIT", "shop"))
confounder("certificate_rotated", "PostgreSQL gets its new certificate in time, sessions are renewed one by one", lambda f: (
    f.certify(60), f.sql("SELECT pg_reload_conf()"),
    [(f.sql(f"SELECT pg_terminate_backend(pid) {SHOP} ORDER BY backend_start LIMIT 1"), time.sleep(1)) for _ in range(8)]))


# MariaDB.

confounder("mariadb_flush", "FLUSH TABLES and FLUSH LOGS", lambda f: f.mariadb("FLUSH TABLES; FLUSH LOGS; OPTIMIZE TABLE shop.invoices"))
confounder("mariadb_migration", "a column comes and goes, behind a lock of a second", lambda f: f.mariadb(
    "ALTER TABLE shop.invoices ADD COLUMN paid INT; LOCK TABLES shop.invoices WRITE; SELECT SLEEP(1); UNLOCK TABLES; ALTER TABLE shop.invoices DROP COLUMN paid"))


def sessions_killed(f):
    for number in f.mariadb("SELECT id FROM information_schema.processlist WHERE user = 'shop'").split():
        f.mariadb(f"KILL {number}")


confounder("mariadb_sessions_killed", "an admin ends all sessions; the pool opens new ones",
           lambda f: [(sessions_killed(f), time.sleep(5)) for _ in range(3)])
confounder("restart_mariadb", "MariaDB is ended by SIGTERM and started again", lambda f: restarted(f, "mariadb"))


# RabbitMQ.

confounder("queue_purged", "what waits in the queue is thrown away on purpose", lambda f: f.rabbit("purge_queue", "ship"))
confounder("queue_redeclared", "the queue is deleted, and its consumer declares it again", lambda f: f.rabbit("delete_queue", "ship"))
confounder("rabbitmq_connections_closed", "an admin closes all connections", lambda f: f.rabbit("close_all_connections", "--", "maintenance"))
confounder("restart_rabbitmq", "RabbitMQ is ended by SIGTERM and started again", lambda f: restarted(f, "rabbitmq"))


def poisoned(f):
    """What is no order goes to where dead letters are kept."""
    f.rabbit("set_policy", "dead", "^ship$", '{"dead-letter-exchange":"amq.fanout"}', "--apply-to", "queues")
    f.hosts["app1"].sh(f.python[1], "-c", "import pika\nc = pika.BlockingConnection(pika.ConnectionParameters('rabbitmq', credentials=pika.PlainCredentials('shop', 'shop')))\n"
                       "for _ in range(12):\n    c.channel().basic_publish('', 'ship', b'poison'); c.sleep(0.7)\nc.close()")


confounder("poison_messages", "a dozen messages are rejected to the dead letters", poisoned)


def enqueued(f):
    f.hosts["app1"].sh(f.python[1], "-c", "import pika\nc = pika.BlockingConnection(pika.ConnectionParameters('rabbitmq', credentials=pika.PlainCredentials('shop', 'shop'))).channel()\n"
                       "for n in range(5000):\n    c.basic_publish('', 'ship', b'%d' % n)")


confounder("batch_enqueued", "a batch puts 5000 messages into the queue at once, and they are worked off", enqueued)
confounder("worker_parked", "the consumer is ended by SIGTERM for a minute, and messages wait", lambda f: f["worker"].stop(), lambda f: f["worker"].start(), hold=60)


# Maintenance: away for a while, and callers feel it.

def away(name, number, what, seconds=12):
    def inject(f):
        f[name].stop(number)
        time.sleep(seconds)
        f[name].start()
    confounder(f"maintenance_{name}", f"{what}, and started again {seconds} s later", inject)


away("postgres", signal.SIGINT, "PostgreSQL is ended by pg_ctl stop -m fast")
away("redis", signal.SIGTERM, "Redis is ended by SIGTERM")
away("mariadb", signal.SIGTERM, "MariaDB is ended by SIGTERM")
away("orders", signal.SIGTERM, "orders is ended by SIGTERM")
confounder("stopped_undrained", "a replica is ended by SIGTERM while nginx still sends it calls, which it then sends to the other",
           lambda f: f["web2"].stop(), lambda f: f["web2"].start(), hold=40)


# Hosts.

confounder("package_update", "a package is unpacked at nice 19, with all of a processor that others leave",
           lambda f: f.hosts["web1"].sh("timeout", "15", "nice", "-n", "19", "sh", "-c", "gzip -9 < /dev/zero > /dev/null", check=False))


TAKE = "import socket\nc = socket.create_server(('', 9999)).accept()[0]\nwhile c.recv(1 << 16): pass"
GIVE = "import socket, sys\nc = socket.create_connection((sys.argv[1], 9999))\nfor _ in range(8000): c.sendall(bytes(1 << 16))"


def copied(f):
    taker = start(f, "ops", "timeout", "15", f.python[1], "-c", TAKE)
    time.sleep(1)
    f.hosts["data1"].sh("timeout", "10", f.python[1], "-c", GIVE, address("ops"), check=False)
    taker.wait()


confounder("copy_of_backup", "a backup is copied to another host as fast as the network goes", copied)
