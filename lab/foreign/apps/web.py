# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""The shop's front end. Nothing in it knows of OpenTelemetry."""

import json
import os
import time

import flask
import redis
import requests
import waitress

app = flask.Flask("web")
cache = redis.Redis("redis", socket_timeout=1, socket_connect_timeout=1)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=32))
BROKEN = os.environ.get("WEB_RELEASE") == "1.1.0"
WARM = time.monotonic() + float(os.environ.get("WEB_WARMS_UP", 0))
for line in filter(None, os.environ.get("WEB_SAYS", "").split(";")):
    app.logger.error(line)


def on(flag):
    return os.path.exists(os.path.join(os.environ["SHOP_FLAGS"], flag))


@app.get("/healthz")
def healthz():
    if time.monotonic() < WARM:
        return "warming up\n", 503
    return "ok\n"


@app.get("/api/cart/<int:item>")
def cart(item):
    with open(os.environ["WEB_PRICES"], encoding="utf-8") as file:
        prices = json.load(file)
    key = f"cart:{item}"
    count = cache.incr(key)
    cache.setex(f"page:{item}:{count % 50}", 120, "x" * 2000)
    if on("discounts"):  # asks for each one, since nobody has written it better yet
        for other in range(12):
            cache.get(f"page:{other}:{count % 50}")
            time.sleep(0.002)
    if BROKEN:
        return {"item": item, "total": count * prices["discount"]}
    return {"item": item, "total": count * prices["each"]}


@app.post("/api/order/<int:item>")
def order(item):
    answer = session.post(f"http://orders:3000/orders/{item}", timeout=4)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/invoice/<int:number>")
def invoice(number):
    if flask.request.headers.get("Authorization") != "Bearer shop":
        flask.abort(401)
    if on("breaker"):
        app.logger.warning("circuit breaker for billing is open; the invoice comes by mail")
        return {"total": None}
    answer = requests.get(f"http://billing:8080/invoice?number={number}", timeout=4)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/report")
def report():
    answer = requests.get("http://billing:8080/report", timeout=10)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/export")
def export():
    answer = requests.get("http://billing:8080/export", timeout=50)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/advice/<int:item>")
def advice(item):
    """Nice to have: who has none after a second does without."""
    try:
        return requests.get(f"http://billing:8080/advice?number={item}", timeout=1).content
    except requests.Timeout:
        return {"advice": None}


@app.post("/api/reserve/<int:item>")
def reserve(item):
    answer = session.post(f"http://orders:3000/reserve/{item}", timeout=4)
    return answer.content, answer.status_code


@app.post("/api/join/<int:item>")
def join(item):
    answer = session.post(f"http://orders:3000/members/m{item}", timeout=4)
    return answer.content, answer.status_code


@app.post("/api/settle/<int:item>")
def settle(item):
    answer = session.post(f"http://billing:8080/settle?number={item}", timeout=6)
    return answer.content, 200 if answer.ok else 502


@app.post("/api/transfer/<int:item>")
def transfer(item):
    answer = session.post(f"http://orders:3000/transfer/{item}", timeout=8)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/similar/<int:item>")
def similar(item):
    answer = session.get(f"http://orders:3000/similar/{item}", timeout=4)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/stream")
def stream():
    def ticks():
        for number in range(20):
            yield f"data: {number}\n\n"
            time.sleep(1)
    return flask.Response(ticks(), mimetype="text/event-stream")


@app.get("/api/wait")
def wait():
    """Long polling: most of the time there is no news."""
    news = redis.Redis("redis", socket_timeout=30).blpop("news", timeout=15)
    return ("", 204) if news is None else (news[1], 200)


waitress.serve(app, host="0.0.0.0", port=8000, threads=16)
