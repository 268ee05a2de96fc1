# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""Confounders: what customers and applications do by design."""

from faults import confounder


def asked(name, what, times=1.2, hold=0, **shares):
    confounder(name, what, lambda f: f.load(times, **shares), lambda f: f.load(), hold=hold)


asked("scanner", "a scanner asks for what is not there: 404 and 405 by the dozen", times=2.5, scan=0.45, wrong_method=0.1)
asked("credential_stuffing", "stolen passwords are tried, all in vain: 401", times=3, unauthorized=0.85)
asked("conflicts", "a run on what is taken already: 409 and 422, from two services deep", times=2, reserve=0.5)
asked("hung_up", "customers close the connection before they are answered", hasty=0.4)
asked("slow_upload", "a client on a bad line sends for 12 s", upload=0.1, hold=30)
asked("streaming", "answers that are streamed for 20 s", stream=0.05, hold=35)
asked("long_polling", "requests that wait 15 s for news, and mostly get none", wait=0.05, hold=35)
asked("nightly_export", "an export that takes 6 s by design", export=0.03, hold=30)
asked("optional_advice", "a call with a deadline of 1 s that callers can do without, and often do", advice=0.2)
asked("retried_transfers", "transactions that are in each other's way: some begin anew, all succeed", transfer=0.4)
asked("deadlocks", "transactions that deadlock in MariaDB: one begins anew, all succeed", settle=0.5)
asked("duplicates", "most of those who join are members already: 409, for an error of the database", join=0.4)
asked("new_endpoint", "a new page, which is slower than the others", similar=0.25)
asked("load_test", "five times the usual traffic, and it is served", times=5)
asked("idle_night", "nobody comes any more", times=0, hold=60)
asked("quiet_hour", "a tenth of the usual traffic", times=0.1, hold=40)


def flagged(name, flag, what, **kwargs):
    confounder(name, what, lambda f: f.flag(flag, True), lambda f: f.flag(flag, False), **kwargs)


flagged("feature_flag", "discounts", "a feature makes one page three times slower, and nobody minds")
confounder("job_with_a_typo", "an instrumented job asks PostgreSQL for a table that is not there", lambda f: f.job("web1", "typo"))
flagged("breaker_opened", "breaker", "a circuit breaker is opened for a test: billing is not asked, customers get a fallback")
