# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""The shop's customers: without telemetry, at the rate that a file says (requests a second)."""

import concurrent.futures
import http.client
import json
import random
import sys
import time

RATE, CALLS = sys.argv[1], open(sys.argv[2], "a", encoding="utf-8", buffering=1)  # pylint: disable=consider-using-with


def ask(method, path, headers):
    start, code = time.time(), 0
    try:
        connection = http.client.HTTPConnection("edge", 80, timeout=6)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        code = answer.status
        connection.close()
    except OSError as error:
        code = repr(error)
    CALLS.write(json.dumps({"at": round(start, 3), "took": round(time.time() - start, 3), "path": path, "code": code}) + "\n")


def pick(wanted):
    item, dice = random.randrange(200), random.random()
    if wanted.get("report") and random.random() < wanted["report"]:
        return "GET", "/api/report", {}
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
        time.sleep(random.expovariate(told["rate"]))
        threads.submit(ask, *pick(told))
