// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Takes orders: Redis for stock, PostgreSQL for orders, RabbitMQ for shipping.
// Nothing in it knows of OpenTelemetry.
'use strict'

const amqp = require('amqplib')
const express = require('express')
const fs = require('node:fs')
const Redis = require('ioredis')
const { Pool } = require('pg')

const pool = new Pool({
  host: 'pg', user: 'shop', password: 'shop', database: 'shop', ssl: { ca: fs.readFileSync(process.env.PGSSLROOTCERT) }, max: 5, connectionTimeoutMillis: 2000, query_timeout: 3000, idleTimeoutMillis: 30000
})
pool.on('error', error => console.error(`idle client: ${error.message}`))
const redis = new Redis({ host: 'redis', maxRetriesPerRequest: 1, commandTimeout: 1000, connectTimeout: 1000 })
redis.on('error', error => console.error(`redis: ${error.message}`))

let channel = null
async function broker () {
  try {
    const connection = await amqp.connect('amqp://shop:shop@rabbitmq?heartbeat=30', { timeout: 2000 })
    connection.on('error', error => console.error(`rabbitmq: ${error.message}`))
    connection.on('close', () => { channel = null; setTimeout(broker, 1000) })
    const opened = await connection.createConfirmChannel()
    await opened.assertQueue('ship', { durable: true })
    channel = opened
  } catch (error) {
    console.error(`rabbitmq: ${error.message}`)
    setTimeout(broker, 1000)
  }
}
broker()

const app = express()
app.get('/healthz', (_, response) => response.send('ok\n'))
app.post('/orders/:item', async (request, response, next) => {
  try {
    const item = Number(request.params.item)
    await redis.incr(`stock:${item}`)
    const { rows } = await pool.query('INSERT INTO orders (item, note) VALUES ($1, $2) RETURNING id', [item, 'x'.repeat(1500)])
    if (!channel) throw new Error('no connection to rabbitmq')
    channel.sendToQueue('ship', Buffer.from(String(rows[0].id)), { persistent: true })
    response.json({ order: rows[0].id })
  } catch (error) {
    next(error)
  }
})
app.post('/reserve/:item', (request, response) => {
  const item = Number(request.params.item)
  if (item % 3 === 0) return response.status(422).json({ error: 'no size given' })
  if (item % 3 === 1) return response.status(409).json({ error: 'taken already' })
  response.json({ reserved: item })
})
// Two at once cannot both be in the books: one of them begins anew.
app.post('/transfer/:item', async (request, response, next) => {
  for (let left = 8; ; left--) {
    const client = await pool.connect()
    try {
      await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      const { rows } = await client.query('SELECT sum(amount) FROM ledger')
      await client.query('INSERT INTO ledger (amount) VALUES ($1)', [Number(rows[0].sum) % 100 + 1])
      await client.query('SELECT pg_sleep(0.2)')
      await client.query('COMMIT')
      return response.json({ moved: true })
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      if (error.code !== '40001' || left === 0) return next(error)
    } finally {
      client.release()
    }
  }
})
app.get('/similar/:item', async (request, response, next) => {
  try {
    const { rows } = await pool.query('SELECT max(id) AS last, pg_sleep(0.4) FROM orders WHERE item = $1', [Number(request.params.item)])
    response.json({ similar: rows[0].last })
  } catch (error) {
    next(error)
  }
})
app.post('/members/:name', async (request, response, next) => {
  try {
    await pool.query('INSERT INTO members (name) VALUES ($1)', [request.params.name])
    response.status(201).json({ welcome: request.params.name })
  } catch (error) {
    if (error.code !== '23505') return next(error)
    response.status(409).json({ error: 'is a member already' })
  }
})
app.put('/upload', (request, response) => {
  let size = 0
  request.on('data', part => { size += part.length })
  request.on('end', () => response.json({ size }))
})
// eslint-disable-next-line no-unused-vars
app.use((error, request, response, next) => {
  console.error(`${request.method} ${request.path}: ${error.message}`)
  response.status(500).send(`${error.message}\n`)
})
const server = app.listen(3000, '0.0.0.0')

// A cache that nobody empties, once somebody has turned it on.
const kept = []
setInterval(() => {
  if (fs.existsSync(process.env.ORDERS_CACHE)) kept.push(Buffer.alloc(8 << 20, 1))
}, 300).unref()

process.on('SIGTERM', () => {
  server.close(() => process.exit(0))
  server.closeIdleConnections()
  setTimeout(() => process.exit(0), 2000).unref()
})
