// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// The shop's cart: a Node service as its authors would write it. Its telemetry
// is that of @opentelemetry/auto-instrumentations-node; nothing here knows of it
// but the lab's own log of calls, which reads the trace from the header that was
// sent.
'use strict'

const express = require('express')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const zlib = require('node:zlib')

const config = JSON.parse(process.env.FAULTLINE_LAB_SERVICE)
const key = 'Bearer shop-lab'
const timeout = 1000
const calls = fs.openSync(path.join(config.folder, 'calls.jsonl'), 'a')

let told = {}
let burners = []
let hung = [] // requests that a deadlock holds
let deadlocked = false

// Node 20 before 20.15 has no zlib.crc32.
const table = Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1
  return n >>> 0
})
function sum (text) {
  if (zlib.crc32) return zlib.crc32(text).toString(16)
  let crc = 0xffffffff
  for (const byte of Buffer.from(text)) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8)
  return ((crc ^ 0xffffffff) >>> 0).toString(16)
}

function hits (name) { return Math.random() < Number((told[name] || ['0'])[0]) }

function milliseconds (text) {
  const [, number, unit] = /^([0-9.]+)(ms|s|m)$/.exec(text) || [null, '0', 's']
  return Number(number) * { ms: 1, s: 1000, m: 60000 }[unit]
}

function endpoint (service) {
  const all = JSON.parse(fs.readFileSync(path.join(config.folder, 'config', 'endpoints.json')))[service]
  return all[Math.floor(Math.random() * all.length)]
}

function note (request, began, start, failed, wrong) {
  const [, trace, span] = String(request.getHeader('traceparent') || '-0-0-').split('-')
  const line = {
    trace, span, start: start.toISOString(), duration_ns: Math.round((performance.now() - began) * 1e6),
    service: config.service, instance: config.instance, callee: 'inventory', route: '/stock', ok: !failed
  }
  if (wrong) line.wrong = true
  if (failed) line.error = failed
  fs.writeSync(calls, JSON.stringify(line) + '\n')
}

function stock (item) {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const start = new Date()
    const request = http.get(`http://${endpoint('inventory')}/stock/${item}`, {
      agent: false, timeout, headers: { Authorization: key, 'User-Agent': 'cart/' + config.version }
    })
    request.on('timeout', () => request.destroy(new Error(`timeout of ${timeout}ms exceeded`)))
    request.on('error', error => {
      note(request, began, start, error.message, false)
      reject(error)
    })
    request.on('response', response => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', part => { body += part })
      response.on('error', reject)
      response.on('end', () => {
        const failed = response.statusCode >= 400 ? `${response.statusCode} ${response.statusMessage}` : ''
        note(request, began, start, failed, Boolean(response.headers['x-lab-wrong']))
        if (failed) return reject(new Error(`inventory answered ${failed}: ${body.trim()}`))
        try {
          const answer = JSON.parse(body)
          if (answer.sum !== sum(answer.value)) throw new Error('invalid response from inventory: checksum mismatch')
          resolve(answer.value)
        } catch (error) {
          reject(error)
        }
      })
    })
  })
}

const app = express()
app.get('/healthz', (_, response) => response.send('ok\n'))
app.get('/cart/:item', async (request, response, next) => {
  try {
    if (deadlocked) await new Promise(resolve => hung.push(resolve))
    const slow = told.slow
    if (slow && Math.random() < Number(slow[1] || 1)) await new Promise(resolve => setTimeout(resolve, milliseconds(slow[0])))
    if (hits('error_500')) throw new Error('unexpected state of the cart')
    const value = `${request.params.item}, ${await stock(request.params.item)} left`
    response.json({ service: 'cart', value, sum: sum(value) })
  } catch (error) {
    next(error)
  }
})
// eslint-disable-next-line no-unused-vars
app.use((error, request, response, next) => {
  console.error(`GET ${request.path}: ${error.message}`)
  response.status(502).type('text').send(error.message + '\n')
})

const server = http.createServer(app)
const [host, port] = config.listen.split(':')
function open () {
  if (!server.listening) server.listen(Number(port), host)
}
function close () {
  server.close()
  server.closeAllConnections()
}

const commands = {
  ready () { if (!server.listening) throw new Error('starting') },
  reset () {
    told = {}
    deadlocked = false
    for (const go of hung.splice(0)) go()
    for (const timer of burners.splice(0)) clearInterval(timer)
    open()
  },
  slow (args) { told.slow = args },
  error_500 (args) { told.error_500 = args },
  panic () { setTimeout(() => { throw new Error('order 4711: assertion failed: total is negative') }, 20) },
  segfault () { setTimeout(() => process.kill(process.pid, 'SIGSEGV'), 20) },
  abort () { setTimeout(() => process.abort(), 20) },
  exit (args) { setTimeout(() => process.exit(Number(args[0])), 20) },
  deadlock () { deadlocked = true },
  close,
  listen: open,
  // One thread is all that Node has: it works for 45 of each 50 ms.
  burn () {
    burners.push(setInterval(() => { for (const end = performance.now() + 45; performance.now() < end;); }, 50))
  }
}

fs.rmSync(config.socket, { force: true })
net.createServer(conn => {
  let line = ''
  conn.on('error', () => {})
  conn.setEncoding('utf8')
  conn.on('data', part => {
    line += part
    if (!line.includes('\n')) return
    let reply = {}
    try {
      const { name, args } = JSON.parse(line)
      if (!Object.hasOwn(commands, name)) throw new Error(`unknown command "${name}"`)
      commands[name](args || [])
    } catch (error) {
      reply = { error: error.message }
    }
    conn.end(JSON.stringify(reply) + '\n')
  })
}).listen(config.socket)

process.on('SIGTERM', () => {
  server.close(() => {})
  server.closeIdleConnections()
  // The SDK flushes at SIGTERM by itself, and does not end the process.
  setTimeout(() => process.exit(0), 1500)
})
open()
console.log(`serving on ${config.listen}`)
