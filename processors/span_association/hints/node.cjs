'use strict'
// For NODE_OPTIONS=--require: tells Fullspan for which request this process makes each of its HTTP calls. Nothing on the wire of
// the application changes. Node follows its own asynchronous work (AsyncLocalStorage), so what capture could only guess on an event
// loop is known here. A hint is two sockets and an instant at which each was open (docs/decisions/0010-runtime-hints.md).
//
// FULLSPAN_HINT_ENDPOINT: where hints go, as OTLP/HTTP JSON; http://127.0.0.1:4318/v1/traces if not set.
// Never throws into the application, keeps no process alive, holds at most 10,000 hints, and drops them while nobody takes them.

const { AsyncLocalStorage } = require('node:async_hooks')
const { subscribe } = require('node:diagnostics_channel')
const { randomBytes } = require('node:crypto')
const { readFileSync, readlinkSync } = require('node:fs')
const http = require('node:http')

const endpoint = process.env.FULLSPAN_HINT_ENDPOINT || 'http://127.0.0.1:4318/v1/traces'
const mostWaiting = 10_000
const flushEveryMs = 500
const pauseAfterFailureMs = 30_000

// Symbols on the objects of Node, which are there for as long as what they tell is true.
const servedBy = Symbol('fullspan.served')
const callSocket = Symbol('fullspan.socket')
const socketKey = Symbol('fullspan.key')
const isOurs = Symbol('fullspan.own')
const noRequest = { key: '', timeMs: 0 }

const place = whereAmI()
if (place !== undefined && URL.canParse(endpoint)) start(place)

function start({ bootId, netns }) {
  /** In whatever a request's handler starts: the request's socket, and when it was open. */
  const serving = new AsyncLocalStorage()
  const clock = createClock()
  const send = createSender()

  subscribe('http.server.request.start', ({ socket }) => {
    const key = keyOf(socket, false)
    serving.enterWith(key === '' ? undefined : { key, timeMs: clock() })
  })

  // node:http and https, and what is made of them
  subscribe('http.client.request.start', ({ request }) => begin(request))
  subscribe('http.client.response.finish', ({ request }) => tell(request, request.socket))

  // fetch
  subscribe('undici:request:create', ({ request }) => begin(request))
  subscribe('undici:client:sendHeaders', ({ request, socket }) => (request[callSocket] = socket))
  subscribe('undici:request:headers', ({ request }) => tell(request, request[callSocket]))

  function begin(request) {
    if (request[isOurs] !== true) request[servedBy] = serving.getStore() ?? noRequest
  }

  /** Once for each call, when its response has begun to come: then both sockets are open, and the call has its own. */
  function tell(request, socket) {
    const served = request[servedBy]
    if (served === undefined || socket === undefined || socket === null) return
    request[servedBy] = undefined
    const key = keyOf(socket, true)
    if (key !== '') send({ key, timeMs: clock(), served })
  }

  /** As capture names a connection: the client's end first. */
  function keyOf(socket, isClient) {
    return (socket[socketKey] ??= readKey(socket, isClient))
  }

  function readKey(socket, isClient) {
    const near = endOf(socket.localAddress, socket.localPort)
    const far = endOf(socket.remoteAddress, socket.remotePort)
    if (near === '' || far === '') return ''
    return `${bootId}|${netns}|${isClient ? near : far}|${isClient ? far : near}`
  }
}

function endOf(address, port) {
  if (address === undefined || port === undefined) return ''
  return `${address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address}|${port}`
}

/** undefined: not on Linux, or without /proc. */
function whereAmI() {
  try {
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
    const netns = /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0]
    return netns === undefined ? undefined : { bootId, netns }
  } catch {
    return undefined
  }
}

/**
 * Unix time in ms, finer than Date's: Date.now() reads low by less than 1 ms, and read before the monotonic clock only lower if the
 * process has to wait in between. So the largest difference that was seen lately is the offset. It ages, because the system's clock
 * is adjusted.
 */
function createClock() {
  let offsetMs = -Infinity
  let nextMs = -Infinity
  let turnsAtMs = 0
  return () => {
    const wallMs = Date.now()
    const nowMs = performance.now()
    const seenMs = wallMs - nowMs
    if (nowMs >= turnsAtMs) {
      offsetMs = nextMs
      nextMs = seenMs
      turnsAtMs = nowMs + 1000
    }
    nextMs = Math.max(nextMs, seenMs)
    offsetMs = Math.max(offsetMs, seenMs)
    return offsetMs + nowMs
  }
}

function createSender() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  let waiting = []
  let timer
  let pausedUntilMs = 0

  function flush() {
    timer = undefined
    const hints = waiting
    waiting = []
    if (hints.length === 0 || Date.now() < pausedUntilMs) return
    const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ scope, spans: hints.map(spanOf) }] }] })
    const request = http.request(endpoint, {
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      timeout: 5000,
    })
    request[isOurs] = true
    const pause = () => (pausedUntilMs = Date.now() + pauseAfterFailureMs)
    request.on('response', response => {
      if (response.statusCode !== 200) pause()
      response.resume()
    })
    request.on('timeout', () => request.destroy())
    request.on('error', pause)
    request.on('socket', socket => socket.unref())
    request.end(body)
  }

  process.on('beforeExit', flush)
  return hint => {
    if (waiting.length >= mostWaiting || Date.now() < pausedUntilMs) return
    waiting.push(hint)
    timer ??= setTimeout(flush, flushEveryMs).unref()
  }
}

const scope = {
  name: 'fullspan/hint',
  attributes: [{ key: 'fullspan.hint', value: { stringValue: 'node' } }],
}

/** Ids only have to differ: a hint goes no further than the processor that reads it. */
const idPrefix = randomBytes(12).toString('hex')
let count = 0

function spanOf({ key, timeMs, served }) {
  const time = nanoseconds(timeMs)
  count = (count + 1) % 0xffff_ffff
  const id = count.toString(16).padStart(8, '0')
  const attributes = [
    textAttribute('fullspan.hint.call', key),
    textAttribute('fullspan.hint.call_time', time),
  ]
  if (served.key !== '') {
    attributes.push(textAttribute('fullspan.hint.request', served.key))
    attributes.push(textAttribute('fullspan.hint.request_time', nanoseconds(served.timeMs)))
  }
  return {
    traceId: idPrefix + id,
    spanId: idPrefix.slice(0, 8) + id,
    name: 'hint',
    kind: 1,
    startTimeUnixNano: time,
    endTimeUnixNano: time,
    attributes,
  }
}

function nanoseconds(ms) {
  return `${Math.round(ms * 1000)}000`
}

function textAttribute(key, stringValue) {
  return { key, value: { stringValue } }
}
