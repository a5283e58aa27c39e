'use strict'
// For NODE_OPTIONS=--require: tells Fullspan for which request this process makes each of its HTTP calls. Nothing on the wire of
// the application changes. Node follows its own asynchronous work (AsyncLocalStorage), so what capture could only guess on an event
// loop is known here. A hint is two sockets and an instant at which each was open (docs/decisions/0007-runtime-hints.md).
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

const place = whereAmI()
if (place !== undefined && URL.canParse(endpoint)) start(place)

function start({ bootId, netns }) {
  /** In whatever a request's handler starts: the request's socket, and when it was open. */
  const serving = new AsyncLocalStorage()
  /** Calls under way: what was being served when each was made. */
  const calls = new WeakMap()
  const own = new WeakSet()
  const clock = createClock()
  const send = createSender(own)

  subscribe('http.server.request.start', ({ socket }) => {
    const key = keyOf(socket, false)
    serving.enterWith(key === '' ? undefined : { key, timeNs: clock() })
  })

  // node:http and https, and what is made of them
  subscribe('http.client.request.start', ({ request }) => {
    if (!own.has(request)) calls.set(request, serving.getStore())
  })
  subscribe('http.client.response.finish', ({ request }) => tell(request, request.socket))

  // fetch
  subscribe('undici:request:create', ({ request }) => calls.set(request, serving.getStore()))
  const sockets = new WeakMap()
  subscribe('undici:client:sendHeaders', ({ request, socket }) => sockets.set(request, socket))
  subscribe('undici:request:headers', ({ request }) => tell(request, sockets.get(request)))

  /** Once for each call, when its response has begun to come: then both sockets are open, and the call has its own. */
  function tell(request, socket) {
    if (!calls.has(request) || socket === undefined || socket === null) return
    const served = calls.get(request)
    calls.delete(request)
    const key = keyOf(socket, true)
    if (key !== '') send({ key, timeNs: clock(), served })
  }

  /** As capture names a connection: the client's end first. */
  function keyOf(socket, isClient) {
    const near = endOf(socket?.localAddress, socket?.localPort)
    const far = endOf(socket?.remoteAddress, socket?.remotePort)
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
 * Unix time in ns, as BigInt, finer than Date's milliseconds: Date.now() only ever reads low, by less than 1 ms, so the largest
 * difference to the monotonic clock that was seen lately is the offset. It ages, because the system's clock is adjusted.
 */
function createClock() {
  let offsetMs = -Infinity
  let nextMs = -Infinity
  let turnsAtMs = 0
  return () => {
    const nowMs = performance.now()
    const seenMs = Date.now() - nowMs
    if (nowMs >= turnsAtMs) {
      offsetMs = nextMs
      nextMs = seenMs
      turnsAtMs = nowMs + 1000
    }
    nextMs = Math.max(nextMs, seenMs)
    offsetMs = Math.max(offsetMs, seenMs)
    return BigInt(Math.round((offsetMs + nowMs) * 1000)) * 1000n
  }
}

function createSender(own) {
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
    own.add(request)
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

function spanOf({ key, timeNs, served }) {
  const time = String(timeNs)
  const texts = {
    'fullspan.hint.call': key,
    'fullspan.hint.call_time': time,
    ...(served && {
      'fullspan.hint.request': served.key,
      'fullspan.hint.request_time': String(served.timeNs),
    }),
  }
  return {
    traceId: randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    name: 'hint',
    kind: 1,
    startTimeUnixNano: time,
    endTimeUnixNano: time,
    attributes: Object.entries(texts).map(([name, stringValue]) => ({ key: name, value: { stringValue } })),
  }
}
