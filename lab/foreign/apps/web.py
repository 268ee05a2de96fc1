# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""The shop's front end. Nothing in it knows of OpenTelemetry."""

import json
import os

import flask
import redis
import requests
import waitress

app = flask.Flask("web")
cache = redis.Redis("redis", socket_timeout=1, socket_connect_timeout=1)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=32))
BROKEN = os.environ.get("WEB_RELEASE") == "1.1.0"


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.get("/api/cart/<int:item>")
def cart(item):
    with open(os.environ["WEB_PRICES"], encoding="utf-8") as file:
        prices = json.load(file)
    key = f"cart:{item}"
    count = cache.incr(key)
    cache.setex(f"page:{item}:{count % 50}", 120, "x" * 2000)
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
    answer = requests.get(f"http://billing:8080/invoice?number={number}", timeout=4)
    return answer.content, 200 if answer.ok else 502


@app.get("/api/report")
def report():
    answer = requests.get("http://billing:8080/report", timeout=10)
    return answer.content, 200 if answer.ok else 502


waitress.serve(app, host="0.0.0.0", port=8000, threads=16)
