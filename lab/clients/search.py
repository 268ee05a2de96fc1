# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""The shop's search: a Python service as its authors would write it. Its
telemetry is that of `opentelemetry-instrument`; nothing here knows of it but
the lab's own log of calls, which reads the trace from the header that was sent.
"""

import datetime
import faulthandler
import json
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import zlib

import flask
import requests
from werkzeug.serving import make_server

CONFIG = json.loads(os.environ["FAULTLINE_LAB_SERVICE"])
KEY = "Bearer shop-lab"
TIMEOUT = 1.0

app = flask.Flask("search")
log = logging.getLogger("search")
logging.getLogger("werkzeug").setLevel(logging.ERROR)

told = {}
gate = threading.Lock()
burning = threading.Event()
server = None
calls = os.open(os.path.join(CONFIG["folder"], "calls.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def fraction(name):
    return random.random() < float(told.get(name, ["0"])[0])


def duration(text):
    for unit, factor in (("ms", 0.001), ("us", 0.000001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float(text or 0)


def note(request, callee, start, wall, failed, wrong):
    parts = (request.headers.get("traceparent") or "-0-0-").split("-") if request is not None else ["", "0", "0", ""]
    line = {
        "trace": parts[1], "span": parts[2], "start": wall.isoformat(),
        "duration_ns": int((time.monotonic() - start) * 1e9),
        "service": CONFIG["service"], "instance": CONFIG["instance"], "callee": callee,
        "route": "/stock", "ok": not failed,
    }
    if wrong:
        line["wrong"] = True
    if failed:
        line["error"] = failed
    os.write(calls, (json.dumps(line) + "\n").encode())


def endpoint(service):
    with open(os.path.join(CONFIG["folder"], "config", "endpoints.json"), encoding="utf-8") as file:
        return random.choice(json.load(file)[service])


def stock(item):
    start, wall = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    try:
        response = requests.get(
            f"http://{endpoint('inventory')}/stock/{item}", timeout=TIMEOUT,
            headers={"Authorization": KEY, "User-Agent": "search/" + CONFIG["version"]},
        )
    except requests.RequestException as error:
        note(error.request, "inventory", start, wall, str(error), False)
        raise
    failed = "" if response.ok else f"{response.status_code} {response.reason}"
    note(response.request, "inventory", start, wall, failed, bool(response.headers.get("X-Lab-Wrong")))
    response.raise_for_status()
    body = response.json()
    if body["sum"] != format(zlib.crc32(body["value"].encode()), "x"):
        raise ValueError("invalid response from inventory: checksum mismatch")
    return body["value"]


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.get("/search/<item>")
def search(item):
    with gate:
        pass
    slow = told.get("slow")
    if slow and random.random() < float(slow[1] if len(slow) > 1 else 1):
        time.sleep(duration(slow[0]))
    if fraction("error_500"):
        raise RuntimeError("unexpected state of the index")
    value = f"{item}: {stock(item)} in stock"
    return {"service": "search", "value": value, "sum": format(zlib.crc32(value.encode()), "x")}


class Server:
    """The listener, which the lab can close while the process lives."""

    def __init__(self):
        self.httpd = None

    def open(self):
        if self.httpd is None:
            host, port = CONFIG["listen"].split(":")
            self.httpd = make_server(host, int(port), app, threaded=True)
            threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        if self.httpd is not None:
            self.httpd.shutdown()
            self.httpd.server_close()
            self.httpd = None


def later(do):
    threading.Timer(0.02, do).start()


def segfault():
    faulthandler._sigsegv()  # pylint: disable=protected-access


def uncaught():
    # A thread's exception ends no Python process: say what happened, and end.
    try:
        raise RuntimeError("order 4711: assertion failed: total is negative")
    except RuntimeError:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)


def burn():
    while burning.is_set():
        pass


def command(name, args):
    if name == "ready":
        if server.httpd is None:
            raise ValueError("starting")
    elif name == "reset":
        told.clear()
        burning.clear()
        if gate.locked():
            gate.release()
        server.open()
    elif name in ("slow", "error_500"):
        told[name] = args
    elif name == "panic":
        later(uncaught)
    elif name == "segfault":
        later(segfault)
    elif name == "abort":
        later(os.abort)
    elif name == "exit":
        later(lambda: os._exit(int(args[0])))
    elif name == "deadlock":
        gate.acquire(blocking=False)
    elif name == "close":
        server.close()
    elif name == "listen":
        server.open()
    elif name == "burn":
        burning.set()
        for _ in range(int(args[0])):
            threading.Thread(target=burn, daemon=True).start()
    else:
        raise ValueError(f"unknown command {name!r}")
    return {}


def control():
    if os.path.exists(CONFIG["socket"]):
        os.unlink(CONFIG["socket"])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(CONFIG["socket"])
    listener.listen()
    while True:
        conn, _ = listener.accept()
        with conn, conn.makefile("rw", encoding="utf-8") as lines:
            try:
                order = json.loads(lines.readline())
                reply = command(order["name"], order.get("args") or [])
            except Exception as error:  # pylint: disable=broad-except
                reply = {"error": str(error)}
            try:
                lines.write(json.dumps(reply) + "\n")
                lines.flush()
            except OSError:
                pass


def main():
    global server  # pylint: disable=global-statement
    server = Server()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server.open()
    threading.Thread(target=control, daemon=True).start()
    log.warning("serving on %s", CONFIG["listen"])
    stop.wait()
    server.close()


if __name__ == "__main__":
    main()
