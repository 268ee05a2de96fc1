# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""A job that runs now and then, and ends. `typo` asks the database for what is not there."""

import sys
import time

import psycopg2
import requests

if "typo" in sys.argv:
    database = psycopg2.connect(host="pg", dbname="shop", user="shop", password="shop", connect_timeout=2)
    database.autocommit = True
    for _ in range(24):
        try:
            database.cursor().execute("SELECT count(*) FROM oders")
        except psycopg2.Error as error:
            print("ERROR", error)
        time.sleep(0.5)
else:
    for _ in range(3):
        requests.get("http://orders:3000/healthz", timeout=5).raise_for_status()
