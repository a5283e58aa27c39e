import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { packageRoot } from '../../core/package-root.ts'
import { hosts, missingForShop, namespacesLeft, ordersServiceAddress } from '../../examples/shop/network.ts'
import { type Shop, startShop } from '../../examples/shop/shop.ts'
import { carries, readBatches, waitForTrace } from '../../examples/shop/traces.ts'
import { type TraceTree, treesOf } from '../../exporters/debug/trace-tree.ts'
import { names } from '../../model/attribute-names.ts'
import type { Batch } from '../../model/batch.ts'
import type { Span } from '../../model/span.ts'

t.setTimeout(280_000)

const missing = missingForShop()
const skip = missing.length > 0 ? `the shop cannot run here, missing: ${missing.join(', ')}` : false

/** The path through one bridge, and through both of the node's with routing between them. */
const oneBridge = (from: string, to: string) => ['c', `c-nd ${from}`, `s-nd ${to}`, 's']
const twoBridges = (from: string, to: string) => [
  'c',
  `c-nd ${from}`,
  'rest front',
  'rest back',
  `s-nd ${to}`,
  's',
]

interface Step {
  readonly what: string
  readonly rule: string
  readonly below?: readonly Step[]
}

/** The sights of one exchange, each the parent of the next, and what hangs below the server's process. */
function hop(options: {
  name: string
  client: string
  server: string
  path: readonly string[]
  rule: string
  key?: string
  below?: readonly Step[]
}): Step {
  const { name, client, server, path, rule, key = 'tcp_seq', below = [] } = options
  const points = [`SYS c-p ${client}`, ...path.map(point => `NET ${point}`), `SYS s-p ${server}`]
  const [first = '', ...others] = points.map(point => `${point} ${name}`)
  const chain = others.reduceRight<readonly Step[]>(
    (inner, what) => [{ what, rule: key, below: inner }],
    below,
  )
  return { what: first, rule, below: chain }
}

const dns = (type: string) =>
  hop({
    name: `DNS ${type} orders.demo`,
    client: 'storefront',
    server: 'dnsmasq',
    path: twoBridges('storefront', 'dns'),
    rule: 'process',
    key: 'message_id',
  })

/** One request through all of the shop, in `mode: rewrite`. */
const expectedTree: Step = hop({
  name: 'GET /buy',
  client: 'client',
  server: 'nginx',
  path: oneBridge('client', 'gateway'),
  rule: '',
  below: [
    hop({
      name: 'GET /buy',
      client: 'nginx',
      server: 'storefront',
      path: oneBridge('gateway', 'storefront'),
      rule: 'request_id',
      below: [
        {
          what: 'APP s-app storefront GET /buy',
          rule: 'same_exchange',
          below: [
            {
              what: 'APP c-app storefront get',
              rule: '',
              below: [
                hop({
                  name: 'GET',
                  client: 'storefront',
                  server: 'redis-server',
                  path: twoBridges('storefront', 'redis'),
                  rule: 'same_exchange',
                }),
              ],
            },
            {
              what: 'APP c-app storefront GET',
              rule: '',
              below: [
                hop({
                  name: 'GET /order',
                  client: 'storefront',
                  server: 'orders',
                  path: twoBridges('storefront', 'orders'),
                  rule: 'header',
                  below: [
                    {
                      what: 'APP s-app orders GET:/order',
                      rule: 'same_exchange',
                      below: [
                        {
                          what: 'APP c-app orders /stock/tea',
                          rule: '',
                          below: [
                            hop({
                              name: 'GET /stock/tea',
                              client: 'orders',
                              server: 'stock',
                              path: oneBridge('orders', 'stock'),
                              rule: 'header',
                              below: [
                                hop({
                                  name: 'SELECT stock',
                                  client: 'stock',
                                  server: 'mariadbd',
                                  path: oneBridge('stock', 'mariadb'),
                                  rule: 'thread',
                                }),
                              ],
                            }),
                            // The agent's own view: the query is made in the callback of the answer, so it is a child of that call.
                            {
                              what: 'APP c-app orders mysql/query',
                              rule: '',
                              below: [
                                hop({
                                  name: 'INSERT orders',
                                  client: 'orders',
                                  server: 'mariadbd',
                                  path: oneBridge('orders', 'mariadb'),
                                  rule: 'same_exchange',
                                }),
                              ],
                            },
                          ],
                        },
                      ],
                    },
                  ],
                }),
              ],
            },
            dns('A'),
            dns('AAAA'),
          ],
        },
      ],
    }),
  ],
})

/** A tree as indented lines. Siblings in the order of their text: SDKs give whole milliseconds, so their starts say little. */
function linesOf({ what, rule, below = [] }: Step, depth = 0): string[] {
  const line = `${' '.repeat(depth)}${what}${rule === '' ? '' : ` [${rule}]`}`
  const siblings = below.map(step => linesOf(step, depth + 1)).sort()
  return [line, ...siblings.flat()]
}

/** A printed tree without what differs from run to run; interfaces by what they are called on the node. */
function shapeOf({ lines }: TraceTree): string[] {
  const above: { what: string; rule: string; below: Step[] }[] = []
  for (const line of lines) {
    const where = line.layer === 'NET' ? interfaceOf(line.place) : ` ${line.place}`
    const step = { what: `${line.layer} ${line.point}${where} ${line.name}`, rule: line.rule, below: [] }
    above.length = line.depth
    above.at(-1)?.below.push(step)
    above.push(step)
  }
  return above[0] ? linesOf(above[0]) : []
}

function interfaceOf(place: string): string {
  const name = place.split(' ').at(-1) ?? ''
  return name === 'eth0' ? '' : ` ${name.replace('port-', '')}`
}

function spansOf(batch: Batch): Span[] {
  return batch.groups.flatMap(({ spans }) => spans)
}

/** Spans of the shop's own network that lie in the time of a request but not in its trace. */
function leftOver(request: Batch, all: readonly Batch[]): Span[] {
  const own = spansOf(request)
  const ids = new Set(own.map(span => span.spanId))
  const [root] = own.filter(span => span.text(names.observationPoint) === 'c-p' && span.parentSpanId === '')
  if (!root) return []
  return all
    .flatMap(spansOf)
    .filter(
      span =>
        !ids.has(span.spanId) &&
        span.startTimeUnixNano >= root.startTimeUnixNano &&
        span.endTimeUnixNano <= root.endTimeUnixNano &&
        (span.text('client.address').startsWith('10.77.') || span.text(names.layer) === ''),
    )
}

/**
 * SDKs start spans at whole milliseconds; and Node reads the wall clock and the monotonic one at its start, one after the other: what else
 * ran between the two stays as the difference between its clock and the kernel's.
 */
const appToleranceNs = 20_000_000n

function outsideParent(batch: Batch): string[] {
  const spans = spansOf(batch)
  const byId = new Map(spans.map(span => [span.spanId, span]))
  const isApp = (span: Span) => span.text(names.layer) === ''
  return spans.flatMap(span => {
    const parent = byId.get(span.parentSpanId)
    // What an SDK said of its own spans is not ours to doubt.
    if (!parent || span.text(names.linkRule) === '') return []
    const tolerance = isApp(span) || isApp(parent) ? appToleranceNs : 0n
    const early = parent.startTimeUnixNano - span.startTimeUnixNano
    const late = span.endTimeUnixNano - parent.endTimeUnixNano
    if (early <= tolerance && late <= tolerance) return []
    return [
      `${span.text(names.observationPoint)} ${span.name}: ${early} ns before and ${late} ns after its parent`,
    ]
  })
}

async function tracesOf(shop: Shop, ids: readonly string[]): Promise<Batch[]> {
  for (const id of ids)
    if (!(await waitForTrace(shop.tracesFile, id, 30_000))) throw new Error(`no trace of ${id}`)
  // What comes late leaves on its own; it would be a mistake here.
  await sleep(4000)
  const all = readBatches(shop.tracesFile)
  return ids.map(id => {
    const found = all.filter(batch => carries(batch, id))
    if (found.length !== 1 || !found[0]) throw new Error(`${id} is in ${found.length} traces`)
    return found[0]
  })
}

t.test('mode: rewrite', { skip, timeout: 200_000 }, async t => {
  const shop = await startShop({ root: packageRoot(), mode: 'rewrite' })
  t.teardown(() => shop.stop())

  await t.test('one request through everything is one tree', async t => {
    await shop.buy(['one'])
    const [batch] = await tracesOf(shop, ['one'])
    if (!batch) return
    const trees = treesOf(batch)
    t.equal(trees.length, 1, 'one trace id')
    t.strictSame(shapeOf(trees[0]!), linesOf(expectedTree))
    t.strictSame(outsideParent(batch), [], 'children lie inside their parents')
    t.strictSame(
      leftOver(batch, readBatches(shop.tracesFile)).map(span => span.name),
      [],
      'nothing of it is elsewhere',
    )
    t.strictSame(
      spansOf(batch)
        .filter(span => span.text(names.incomplete) !== '')
        .map(span => span.name),
      [],
    )
  })

  await t.test('addresses are those of each point, before and after NAT', async t => {
    const batch = await waitForTrace(shop.tracesFile, 'one', 1000)
    const order = spansOf(batch!).filter(
      span => span.text('url.path') === '/order' && span.text(names.layer) === 'net',
    )
    const servers = order
      .sort((a, b) => (a.startTimeUnixNano < b.startTimeUnixNano ? -1 : 1))
      .map(
        span =>
          `${span.text(names.observationPoint)} ${span.text('server.address')}:${span.number('server.port')}`,
      )
    const before = `${ordersServiceAddress}:80`
    const after = `${hosts.orders}:8082`
    t.strictSame(servers, [
      `c ${before}`,
      `c-nd ${before}`,
      `rest ${before}`,
      `rest ${after}`,
      `s-nd ${after}`,
      `s ${after}`,
    ])
    t.ok(order.every(span => span.text('client.address') === hosts.storefront))
  })

  await t.test('20 requests one after another are 20 traces, none mixed', { timeout: 100_000 }, async t => {
    const ids = Array.from({ length: 20 }, (_, n) => `row-${n}`)
    await shop.buy(ids, { gapMs: 30 })
    const batches = await tracesOf(shop, ids)
    t.equal(new Set(batches.map(batch => spansOf(batch)[0]?.traceId)).size, 20)
    for (const [at, batch] of batches.entries()) {
      const trees = treesOf(batch)
      t.strictSame(shapeOf(trees[0]!), linesOf(expectedTree), ids[at] ?? '')
      t.equal(trees.length, 1)
      const others = spansOf(batch)
        .map(span => span.text(names.keyRequestId))
        .filter(id => id !== '' && id !== ids[at])
      t.strictSame(others, [])
    }
  })

  await t.test(
    '8 requests at once: no span gets a parent of another request',
    { timeout: 100_000 },
    async t => {
      const ids = Array.from({ length: 8 }, (_, n) => `crowd-${n}`)
      const started = BigInt(Date.now()) * 1_000_000n
      await shop.buy(ids, { concurrency: 8 })
      for (const id of ids) t.ok(await waitForTrace(shop.tracesFile, id, 30_000), `a trace of ${id}`)
      await sleep(4000)
      const batches = readBatches(shop.tracesFile).filter(batch =>
        spansOf(batch).some(span => span.startTimeUnixNano >= started),
      )
      let placed = 0
      for (const batch of batches) {
        const ofRequests = new Set(
          spansOf(batch)
            .map(span => span.text(names.keyRequestId))
            .filter(id => id !== ''),
        )
        t.ok(ofRequests.size <= 1, `one trace holds one request, not ${[...ofRequests].join(' and ')}`)
        // What is unmistakable by its place in the shop: each request has one of each.
        if (ofRequests.size === 1) {
          for (const what of ['/order', '/stock/tea']) {
            const sights = spansOf(batch).filter(
              span => span.text(names.observationPoint) === 's-p' && span.text('url.path') === what,
            )
            t.ok(sights.length <= 1, `${what} at most once`)
            placed += sights.length
          }
        }
        const apps = spansOf(batch).filter(
          span => span.text(names.layer) === '' && span.attribute('sw8.trace_id') === undefined,
        )
        t.ok(new Set(apps.map(span => span.traceId)).size <= 1)
      }
      t.comment(`${placed} of 16 exchanges behind the storefront were placed by proof`)
    },
  )

  await t.test('the real SDK and the real agent log no error', t => {
    t.equal(shop.processes.logOf('storefront'), '')
    t.equal(shop.processes.logOf('orders'), '')
    t.end()
  })

  await t.test('no process of ours but the probe holds a capability', async t => {
    await Promise.resolve()
    const own = [String(shop.processes.pidOf('fullspan'))]
    for (const pid of own) {
      t.match(statusOf(pid, 'CapEff'), /^0+$/)
      t.match(statusOf(pid, 'CapPrm'), /^0+$/)
      t.notMatch(statusOf(pid, 'Uid'), /^0\b/)
    }
  })
})

t.test(
  'mode: attach: APP spans arrive at an OTLP back end as their SDK gave them',
  { skip, timeout: 200_000 },
  async t => {
    const shop = await startShop({
      root: packageRoot(),
      mode: 'attach',
      config: 'test/e2e/attach.yaml',
      backEnd: 'test/e2e/back-end.yaml',
    })
    t.teardown(() => shop.stop())
    await shop.buy(['beside'])
    const [batch] = await tracesOf(shop, ['beside'])
    if (!batch) return
    const apps = spansOf(batch).filter(span => span.text(names.layer) === '')
    const otel = apps.filter(span => span.attribute('sw8.trace_id') === undefined)
    t.equal(otel.length, 3)
    const [server] = otel.filter(span => span.parentSpanId === '')
    t.ok(server, 'the SERVER span is a root, as its SDK said')
    for (const client of otel.filter(span => span !== server)) t.equal(client.parentSpanId, server?.spanId)
    for (const span of otel) {
      t.equal(span.attribute(names.linkRule), undefined)
      t.equal(span.attribute(names.originalParentSpanId), undefined)
    }
    const skywalking = apps.filter(span => span.attribute('sw8.trace_id') !== undefined)
    t.strictSame(skywalking.map(span => span.number('sw8.parent_span_id')).sort(), [-1, 0, 1])
    const entry = skywalking.find(span => span.parentSpanId === '')
    t.ok(entry, 'the Entry span has no parent: its agent saw none')
    const wrapped = spansOf(batch).filter(span => span.text(names.wraps) === server?.spanId)
    t.strictSame(
      wrapped.map(span => span.text(names.observationPoint)),
      ['s-p'],
    )
    t.equal(new Set(spansOf(batch).map(span => span.traceId)).size, 1, 'one trace id all the same')
  },
)

t.test('nothing is left behind', { skip }, t => {
  t.strictSame(namespacesLeft(), [])
  t.end()
})

function statusOf(pid: string, field: string): string {
  const status = execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' })
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? ''
}
