# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
"""Ships what was ordered: from RabbitMQ into PostgreSQL. It knows nothing of OpenTelemetry."""

import logging
import time

import pika
import psycopg2

logging.basicConfig(level=logging.WARNING)
log = logging.getLogger("worker")
database = None


def connected():
    global database  # pylint: disable=global-statement
    if database is None or database.closed:
        database = psycopg2.connect(host="pg", dbname="shop", user="shop", password="shop", connect_timeout=2)
        database.autocommit = True
    return database


def ship(channel, method, _properties, body):
    if not body.isdigit():
        log.error("message %d is no order: rejected", method.delivery_tag)
        channel.basic_reject(method.delivery_tag, requeue=False)
        return
    with connected().cursor() as cursor:
        cursor.execute("UPDATE orders SET shipped = now() WHERE id = %s", (int(body),))
    channel.basic_ack(method.delivery_tag)


while True:
    try:
        connection = pika.BlockingConnection(pika.ConnectionParameters(
            "rabbitmq", heartbeat=30, socket_timeout=2, blocked_connection_timeout=5,
            credentials=pika.PlainCredentials("shop", "shop")))
        channel = connection.channel()
        channel.queue_declare("ship", durable=True)
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume("ship", ship)
        channel.start_consuming()
    except Exception as error:  # pylint: disable=broad-except
        log.error("shipping stopped: %r", error)
        database = None
        time.sleep(1)
