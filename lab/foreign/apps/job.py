# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""A job that runs now and then, and ends."""

import requests

for _ in range(3):
    requests.get("http://orders:3000/healthz", timeout=5).raise_for_status()
