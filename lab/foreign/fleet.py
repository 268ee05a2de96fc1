# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""Hosts that are namespaces, and what runs on them: third-party servers, and
applications with stock auto-instrumentation."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ROOT / ".cache" / "foreign"
PREFIX = "fgn-"
NET = "10.79.0."
HOSTS = {"out": 2, "edge": 3, "web1": 11, "web2": 12, "app1": 21, "app2": 22, "data1": 31, "data2": 32, "ops": 40}
NAMES = {"edge": "edge", "orders": "app1", "billing": "app2", "redis": "data1", "pg": "data1", "mariadb": "data2",
         "rabbitmq": "data2", "gateway": "ops"}
PG = pathlib.Path("/usr/lib/postgresql/15/bin")


def address(host):
    return NET + str(HOSTS[host])


def sh(*argv, check=True, **kwargs):
    return subprocess.run([str(a) for a in argv], check=check, capture_output=True, text=True, **kwargs)


def wait(ready, what, seconds=60):
    end = time.time() + seconds
    while True:
        try:
            if ready():
                return
        except (OSError, subprocess.SubprocessError):
            pass
        if time.time() > end:
            raise TimeoutError(f"{what} is not ready after {seconds} s")
        time.sleep(0.3)


def cgroups(controller):
    """This process's own group (version 1), under which each server gets one."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return pathlib.Path("/sys/fs/cgroup", controller, path.lstrip("/"))
    raise RuntimeError("needs control groups, version 1")


class Host:
    """A network, mount and UTS namespace with a cable to the bridge."""

    def __init__(self, fleet, name):
        self.fleet, self.name, self.netns = fleet, name, PREFIX + name
        self.logs, self.state = fleet.dir / "logs" / name, fleet.dir / "state" / name
        self.logs.mkdir(parents=True)
        self.state.mkdir(parents=True)
        sh("ip", "netns", "add", self.netns)
        for line in (f"link add {name} type veth peer name eth0 netns {self.netns}", f"link set {name} master br0 up"):
            sh("ip", "-n", PREFIX + "sw", *line.split())
        for line in ("link set lo up", f"addr add {address(name)}/24 dev eth0", "link set eth0 up"):
            sh("ip", "-n", self.netns, *line.split())
        self.holder = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, "unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c",
             f"hostname {name}; touch {self.state}/up; exec sleep infinity"], start_new_session=True)
        wait((self.state / "up").exists, f"host {name}")
        self.names()
        self.sh("mount", "--bind", self.state / "hosts", "/etc/hosts")

    def names(self, *missing, **moved):
        lines = [f"127.0.0.1 localhost {self.name}"] + [f"{address(h)} {n}" for n, h in (NAMES | moved).items() if n not in missing]
        (self.state / "hosts").write_text("\n".join(lines) + "\n")  # in place: it is mounted

    def argv(self, argv):
        return ["nsenter", "--target", str(self.holder.pid), "--mount", "--uts", "--net", "--"] + [str(a) for a in argv]

    def sh(self, *argv, **kwargs):
        return sh(*self.argv(argv), **kwargs)

    def iptables(self, *rule):
        self.sh("iptables", "-w", *rule)

    def open(self):
        self.sh("iptables", "-w", "-F")


class Server:
    """A process with all its children."""

    def __init__(self, host, name, argv, env=None, user=None, ready=None, cgroup=False):
        self.host, self.name, self.argv, self.env, self.user = host, name, argv, env or {}, user
        self.ready, self.process = ready, None
        self.log = host.logs / f"{name}.log"
        self.groups = {c: cgroups(c) / (PREFIX + (name if cgroup else "fleet")) for c in ("cpu", "memory")}

    def start(self):
        for group in self.groups.values():
            group.mkdir(parents=True, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(self.host.state), "LANG": "C.UTF-8"} | {k: str(v) for k, v in self.env.items()}
        enter = "".join(f"echo $$ > {g}/cgroup.procs; " for g in self.groups.values())
        argv = [str(a) for a in self.argv]
        if self.user:
            argv = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"] + argv
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", enter + 'exec "$@"', "sh"] + self.host.argv(argv),
                env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.host.state)
        if self.ready:
            wait(self.up, self.name)
        return self

    def up(self):
        if not self.running():
            raise RuntimeError(f"{self.name} ended: see {self.log}")
        return self.ready()

    def pids(self):
        """It and its descendants."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
            except OSError:
                pass
        return found

    def send(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.wait()

    def stop(self, number=signal.SIGTERM, seconds=20):
        """In order: the first process is told, and takes down its own."""
        if not self.running():
            return
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def ensure(self):
        if not self.running():
            self.start()


class Fleet:
    def __init__(self, folder, rate=15):
        self.rate = rate
        self.dir = pathlib.Path(folder).resolve()
        shutil.rmtree(self.dir, ignore_errors=True)
        (self.dir / "part").mkdir(parents=True)
        self.servers, self.hosts = {}, {}

    def start(self):
        sweep()
        sh("ip", "netns", "add", PREFIX + "sw")
        for line in ("link add br0 type bridge", "link set br0 up"):
            sh("ip", "-n", PREFIX + "sw", *line.split())
        for name in HOSTS:
            self.hosts[name] = Host(self, name)
        self.collectors()
        self.databases()
        self.applications()
        self.load()
        self.add("out", "load", [TOOLS / "py/bin/python", HERE / "apps/load.py", self.dir / "rate.json", self.dir / "customers.jsonl"]).start()

    def add(self, host, name, argv, **kwargs):
        self.servers[name] = Server(self.hosts[host], name, argv, **kwargs)
        return self.servers[name]

    def __getitem__(self, name):
        return self.servers[name]

    def load(self, times=1, **told):
        """So many times the usual traffic, with what some customers ask for beside it."""
        (self.dir / "rate.json").write_text(json.dumps({"rate": self.rate * times} | told))

    def url(self, host, port, path="/healthz"):
        def ready():
            return self.hosts["out"].sh("curl", "-sf", "-m", "2", f"http://{address(host)}:{port}{path}", check=False).returncode == 0
        return ready

    def collectors(self):
        gateway = self.dir / "gateway.yaml"
        gateway.write_text((HERE / "conf/gateway.yaml").read_text().replace("DIR", str(self.dir)))
        shipped = ROOT / "distribution/config"
        binary = ROOT / "bin/otelcol-faultline"
        for host in self.hosts.values():
            if host.name == "out":
                continue
            env = {"FAULTLINE_STATE": host.state / "faultline", "FAULTLINE_SELF_METRICS": "none", "GOMEMLIMIT": "384MiB", "GOMAXPROCS": 2,
                   "FAULTLINE_LOGS": host.logs / "*.log", "FAULTLINE_GATEWAY": "http://gateway:4318"}
            if host.name == "ops":
                env["FAULTLINE_OTLP_GRPC"], env["FAULTLINE_OTLP_HTTP"] = "0.0.0.0:4317", "0.0.0.0:4318"
                argv = [binary, "--config", shipped / "gateway.yaml", "--config", gateway]
            else:
                argv = [binary, "--config", shipped / "agent.yaml"]
            collector = self.add(host.name, "otelcol-" + host.name, argv, env=env)
            collector.log = host.state / "otelcol.log"  # not one that it reads
            collector.start()
        wait(lambda: self.hosts["ops"].sh("curl", "-sf", "-m", "2", "http://localhost:13133/", check=False).returncode == 0, "gateway")

    def databases(self):
        data1, data2 = self.hosts["data1"], self.hosts["data2"]
        disk = data1.state / "pg"
        disk.mkdir()
        data1.sh("mount", "-t", "tmpfs", "-o", "size=160m,mode=0777", "tmpfs", disk)
        data1.sh("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", PG / "initdb", "-D", disk / "data", "-A", "trust", "--no-sync")
        sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.dir / "ca.key", "-out", self.dir / "ca.pem", "-days", "30", "-subj", "/CN=shop")
        self.certify(30)
        options = {"ssl": "on", "listen_addresses": "*", "max_connections": 25, "shared_buffers": "16MB", "max_wal_size": "48MB", "min_wal_size": "32MB",
                   "unix_socket_directories": disk, "fsync": "off", "log_min_messages": "warning"}
        data1.sh("sh", "-c", f"echo 'host all all all scram-sha-256' >> {disk}/data/pg_hba.conf")
        pg = self.add("data1", "postgres", [PG / "postgres", "-D", disk / "data"] + [a for k, v in options.items() for a in ("-c", f"{k}={v}")],
                      user="postgres", ready=lambda: self.sql("SELECT 1") is not None)
        pg.start()
        for line in ("CREATE ROLE shop LOGIN PASSWORD 'shop'", "CREATE DATABASE shop OWNER shop"):
            self.sql(line)
        self.sql("CREATE TABLE orders (id bigserial PRIMARY KEY, item int, note text, at timestamptz DEFAULT now(), shipped timestamptz);"
                 "ALTER TABLE orders OWNER TO shop; CREATE TABLE archive AS SELECT g AS id, repeat('x', 200) AS note FROM generate_series(1, 50000) g;"
                 "CREATE TABLE ledger (id bigserial PRIMARY KEY, amount bigint); INSERT INTO ledger (amount) VALUES (1); ALTER TABLE ledger OWNER TO shop;"
                 "CREATE TABLE members (name text PRIMARY KEY); ALTER TABLE members OWNER TO shop", database="shop")
        self.add("data1", "redis", ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", data1.state],
                 ready=lambda: "PONG" in self.redis("PING")).start()

        maria = data2.state / "mariadb"
        data2.sh("mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={maria}", "--skip-test-db")
        init = data2.state / "init.sql"
        init.write_text("CREATE DATABASE IF NOT EXISTS shop;\nCREATE USER IF NOT EXISTS shop@'%' IDENTIFIED BY 'shop';\nGRANT ALL ON shop.* TO shop@'%';\n"
                        "CREATE TABLE IF NOT EXISTS shop.invoices (id INT PRIMARY KEY, total INT);\n"
                        "INSERT IGNORE INTO shop.invoices VALUES " + ",".join(f"({i},{i * 10})" for i in range(64)) + ";\n"
                        "CREATE TABLE IF NOT EXISTS shop.balances (id INT PRIMARY KEY, total INT);\nINSERT IGNORE INTO shop.balances VALUES (0,0),(1,0);\n")
        self.add("data2", "mariadb", ["mariadbd", "--no-defaults", "--user=mysql", f"--datadir={maria}", "--bind-address=0.0.0.0", "--skip-name-resolve",
                                      f"--socket={maria}/maria.sock", f"--init-file={init}", "--innodb-buffer-pool-size=32M"],
                 ready=lambda: "1" in self.mariadb("SELECT 1")).start()
        rabbit = data2.state / "rabbit"
        rabbit.mkdir()
        env = {"RABBITMQ_NODENAME": "rabbit@localhost", "RABBITMQ_MNESIA_BASE": rabbit, "RABBITMQ_LOG_BASE": rabbit, "RABBITMQ_LOGS": "-",
               "RABBITMQ_ENABLED_PLUGINS_FILE": rabbit / "plugins", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none", "HOME": rabbit}
        self.add("data2", "rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], env=env, ready=lambda: self.rabbit("await_startup", "--timeout", "5") == 0).start()
        self.rabbit("add_user", "shop", "shop")
        self.rabbit("set_permissions", "-p", "/", "shop", ".*", ".*", ".*")

    def certify(self, days):
        """Gives PostgreSQL a certificate that is good for so many days."""
        data, made = self.hosts["data1"].state / "pg/data", self.dir / "pg"
        sh("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{made}.key", "-out", f"{made}.csr", "-subj", "/CN=pg")
        pathlib.Path(f"{made}.ext").write_text("subjectAltName=DNS:pg")
        sh("openssl", "x509", "-req", "-in", f"{made}.csr", "-CA", self.dir / "ca.pem", "-CAkey", self.dir / "ca.key", "-CAcreateserial",
           "-days", str(days), "-extfile", f"{made}.ext", "-out", f"{made}.pem")
        for name, ending in (("server.key", "key"), ("server.crt", "pem")):
            self.hosts["data1"].sh("install", "-o", "postgres", "-m", "600", f"{made}.{ending}", data / name)

    def job(self, host, *does):
        """A job that comes and goes."""
        env = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": self.dir / "ca.pem"}
        server = Server(self.hosts[host], "nightly", self.python + [HERE / "apps/job.py", *does], env=self.otel("nightly") | env)
        server.start()
        server.process.wait(60)

    def rabbit(self, *argv):
        home = self.hosts["data2"].state / "rabbit"
        return self.hosts["data2"].sh("env", f"HOME={home}", "RABBITMQ_NODENAME=rabbit@localhost", f"RABBITMQ_MNESIA_BASE={home}",
                                      "/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *argv, check=False).returncode

    def sql(self, text, database="postgres"):
        out = self.hosts["data1"].sh("psql", "-h", self.hosts["data1"].state / "pg", "-U", "postgres", "-d", database, "-qAtc", text, check=False)
        return out.stdout if out.returncode == 0 else None

    def redis(self, *argv):
        return self.hosts["data1"].sh("redis-cli", *argv, check=False).stdout

    def mariadb(self, text):
        return self.hosts["data2"].sh("mariadb", "--no-defaults", f"--socket={self.hosts['data2'].state}/mariadb/maria.sock", "-BNe", text, check=False).stdout

    python = [TOOLS / "py/bin/opentelemetry-instrument", TOOLS / "py/bin/python"]

    @staticmethod
    def otel(service, version="1.0.0"):
        return {"OTEL_SERVICE_NAME": service, "OTEL_RESOURCE_ATTRIBUTES": f"service.version={version},deployment.environment.name=shop",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}

    def applications(self):
        python, otel = self.python, self.otel
        run = self.dir / "run"
        (run / "flags").mkdir(parents=True)
        self.web("web1", "web1")
        self.web("web2", "web2")
        self.add("app1", "orders", ["node", "--require", "@opentelemetry/auto-instrumentations-node/register", HERE / "apps/orders.js"], cgroup=True,
                 env=otel("orders") | {"NODE_PATH": TOOLS / "node/node_modules", "PGSSLROOTCERT": self.dir / "ca.pem", "ORDERS_CACHE": run / "orders-cache"}, ready=self.url("app1", 3000))
        self.add("app1", "worker", python + [HERE / "apps/worker.py"], env=otel("worker") | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": self.dir / "ca.pem"})
        # A host's kernel writes into its log; this one's is the machine's.
        self.add("app1", "kernel", ["sh", "-c", f"dmesg --follow-new | grep --line-buffered {PREFIX}orders"]).start()
        self.add("app2", "billing", ["java", "-Xmx160m", "-XX:+UseSerialGC", f"-javaagent:{TOOLS}/java/lib/opentelemetry-javaagent-2.33.1.jar",
                                     "-cp", f"{TOOLS}/java/cls:{TOOLS}/java/lib/*", "Billing"], cgroup=True,
                 env=otel("billing") | {"BILLING_CACHE": run / "billing-cache"}, ready=self.url("app2", 8080))
        for name in ("web1", "web2", "orders", "worker", "billing"):
            self[name].start()
        self.upstreams("web1", "web2")
        self.add("edge", "nginx", ["nginx", "-p", self.hosts["edge"].state, "-c", self.hosts["edge"].state / "nginx.conf", "-g", "daemon off;"],
                 ready=self.url("edge", 80)).start()

    def web(self, host, name):
        run = self.dir / "run"
        prices = run / f"prices-{name}.json"
        prices.write_text('{"each": 5}')
        web = self.add(host, name, self.python + [HERE / "apps/web.py"], env=self.otel("web") | {"WEB_PRICES": prices, "SHOP_FLAGS": run / "flags"},
                       ready=self.url(host, 8000), cgroup=True)
        web.release = lambda version, web=web: web.env.update(self.otel("web", version) | {"WEB_RELEASE": version})
        return web

    def flag(self, name, on):
        flag = self.dir / "run/flags" / name
        if on:
            flag.touch()
        else:
            flag.unlink(missing_ok=True)

    def upstreams(self, *hosts, limit=1000, reload=False):
        text = (HERE / "conf/nginx.conf").read_text().replace("LOGS", str(self.hosts["edge"].logs)).replace("LIMIT", str(limit))
        text = text.replace("SERVERS", " ".join(f"server {address(h)}:8000;" for h in hosts))
        (self.hosts["edge"].state / "nginx.conf").write_text(text)
        if reload:
            self["nginx"].process.send_signal(signal.SIGHUP)

    def close(self):
        sweep()


def sweep():
    """Ends all that runs on the fleet's hosts, and takes down the hosts."""
    names = [line.split()[0] for line in sh("ip", "netns", "list").stdout.splitlines() if line.startswith(PREFIX)]
    for name in names:
        for pid in sh("ip", "netns", "pids", name, check=False).stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
    time.sleep(0.2 * bool(names))
    for name in names:
        sh("ip", "netns", "del", name, check=False)
    for controller in ("cpu", "memory"):
        for folder in cgroups(controller).glob(PREFIX + "*"):
            try:
                folder.rmdir()
            except OSError:
                pass
