# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""The shop's customers: without telemetry, at the rate that a file says (requests a second)."""

import concurrent.futures
import http.client
import json
import random
import sys
import time

# What some customers ask for now and then, by the share that the file gives it.
ASKED = {
    "report": ("GET", "/api/report"), "export": ("GET", "/api/export"), "stream": ("GET", "/api/stream"), "wait": ("GET", "/api/wait"),
    "reserve": ("POST", "/api/reserve/{item}"), "transfer": ("POST", "/api/transfer/{item}"), "similar": ("GET", "/api/similar/{item}"),
    "scan": ("GET", "/wp-admin/{item}.php"), "wrong_method": ("DELETE", "/api/cart/{item}"), "advice": ("GET", "/api/advice/{item}"),
    "join": ("POST", "/api/join/{item}"), "settle": ("POST", "/api/settle/{item}"), "upload": ("PUT", "/api/upload"),
}
RATE, CALLS = sys.argv[1], open(sys.argv[2], "a", encoding="utf-8", buffering=1)  # pylint: disable=consider-using-with

LONG = {ASKED[name][1] for name in ("report", "export", "stream", "wait", "upload")}


def slowly(seconds):
    """What a telephone on a bad line sends."""
    for _ in range(int(seconds * 2)):
        time.sleep(0.5)
        yield b"x" * 512


def ask(method, path, headers, patience):
    start, code = time.time(), 0
    try:
        connection = http.client.HTTPConnection("edge", 80, timeout=patience)
        connection.request(method, path, body=slowly(12) if method == "PUT" else None, headers=headers)
        answer = connection.getresponse()
        answer.read()
        code = answer.status
        connection.close()
    except TimeoutError:
        code = 499 if patience < 1 else "TimeoutError()"
    except (OSError, http.client.HTTPException) as error:
        code = repr(error)
    CALLS.write(json.dumps({"at": round(start, 3), "took": round(time.time() - start, 3), "path": path, "code": code}) + "\n")


def pick(wanted):
    item, dice = random.randrange(200), random.random()
    for name, (method, path) in ASKED.items():
        if random.random() < wanted.get(name, 0):
            return method, path.format(item=item), {}
    if random.random() < wanted.get("unauthorized", 0.01):
        return "GET", f"/api/invoice/{item}", {"Authorization": "Bearer wrong"}
    if dice < 0.02:
        return "GET", "/api/nothing", {}
    if dice < 0.4:
        return "GET", f"/api/cart/{item}", {}
    if dice < 0.75:
        return "POST", f"/api/order/{item}", {}
    return "GET", f"/api/invoice/{item}", {"Authorization": "Bearer shop"}


with concurrent.futures.ThreadPoolExecutor(200) as threads:
    while True:
        try:
            with open(RATE, encoding="utf-8") as file:
                told = json.load(file)
        except (OSError, ValueError):
            told = {"rate": 15}
        if not told["rate"]:
            time.sleep(1)
            continue
        time.sleep(random.expovariate(told["rate"]))
        method, path, headers = pick(told)
        hasty = random.random() < told.get("hasty", 0)
        threads.submit(ask, method, path, headers, 0.004 if hasty else 60 if path in LONG else 6)
