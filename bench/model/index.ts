import { checkRequest } from '../../formats/otlp/check.ts'
import { countItems } from '../../formats/otlp/count.ts'
import { Batch } from '../../model/batch.ts'
import { compare, type Contestant } from '../compare.ts'
import type { Part } from '../part.ts'
import { createRequest } from '../requests.ts'
import { rounded, tableLines, times } from '../table.ts'
import { decode, encode, spansOf } from './oracle.ts'

interface Row {
  readonly name: string
  /** What issue and docs promise. */
  readonly goal: number
  ours(bytes: Uint8Array): number
  /** protobufjs for the same result. */
  baseline(bytes: Uint8Array): number
}

const spansARequest = 512

/** Spans per second on one core of what `model/` and the check of intake do, against protobufjs. */
export const model: Part = {
  name: 'model',
  description: 'the span and its bytes: count, check, read, change, against protobufjs',
  run({ isQuick, only }, print) {
    const requests = Array.from({ length: isQuick ? 2 : 16 }, (_, seed) =>
      // A Buffer, as Node's sockets give.
      Buffer.from(createRequest(seed + 1, spansARequest)),
    )
    const bytesASpan = requests.reduce((sum, { length }) => sum + length, 0) / requests.length / spansARequest
    print(`model: requests of ${spansARequest} spans, ${bytesASpan.toFixed(0)} bytes a span, 10 attributes\n`)
    const rounds = isQuick ? { rounds: 1, roundMs: 5 } : { rounds: 9, roundMs: 300 }
    const chosen = rows.filter(row => row.name.includes(only))
    const cells = chosen.map(row => {
      const result = compare(over(requests, row.ours), over(requests, row.baseline), rounds)
      return [row.name, rounded(result.ours), rounded(result.baseline), times(result.ratio), `${row.goal}×`]
    })
    const header = ['spans/s on one core', 'Fullspan', 'protobufjs', 'ratio', 'goal ≥']
    for (const line of tableLines(header, cells)) print(line)
    print('')
  },
}

function over(requests: readonly Uint8Array[], work: (bytes: Uint8Array) => number): Contestant {
  let turn = 0
  return {
    work() {
      const spans = work(requests[turn++ % requests.length]!)
      if (spans !== spansARequest) throw new Error(`${spans} spans were seen, not ${spansARequest}.`)
      return spans
    },
  }
}

const fullDecode = (bytes: Uint8Array): number => spansOf(decode(bytes))

const rows: readonly Row[] = [
  { name: 'count', goal: 20, ours: bytes => countItems('traces', bytes), baseline: fullDecode },
  {
    name: 'check to the leaves',
    goal: 8,
    ours: bytes => checkRequest('traces', bytes).items,
    baseline: fullDecode,
  },
  { name: 'ids and times', goal: 8, ours: readIdsAndTimes, baseline: fullDecode },
  { name: 'all attributes', goal: 3, ours: readAttributes, baseline: fullDecode },
  { name: 'change one, encode', goal: 5, ours: changeOne, baseline: decodeChangeEncode },
]

/** What is read is kept here, so that no reading can be optimised away. */
const seen = { texts: 0, nanoseconds: 0n }

function spansIn(bytes: Uint8Array): Batch {
  return Batch.ofRequest('traces', bytes, spansARequest)
}

function readIdsAndTimes(bytes: Uint8Array): number {
  let count = 0
  for (const { spans } of spansIn(bytes).groups) {
    for (const span of spans) {
      seen.texts += span.traceId.charCodeAt(31) + span.spanId.charCodeAt(15)
      seen.texts += span.parentSpanId.charCodeAt(15) | 0
      seen.nanoseconds = span.endTimeUnixNano - span.startTimeUnixNano
      count++
    }
  }
  return count
}

function readAttributes(bytes: Uint8Array): number {
  let count = 0
  for (const { spans } of spansIn(bytes).groups) {
    for (const span of spans) {
      for (const [key, value] of span.attributes) {
        seen.texts += key.length + (typeof value === 'string' ? value.length : 1)
      }
      count++
    }
  }
  return count
}

const change = { 'http.response.status_code': 418 }

function changeOne(bytes: Uint8Array): number {
  let count = 0
  const groups = spansIn(bytes).groups.map(group => {
    const spans = group.spans.map(span => span.with({ attributes: change }))
    count += spans.length
    return { ...group, spans }
  })
  seen.texts += Batch.ofGroups(groups).encode().length
  return count
}

function decodeChangeEncode(bytes: Uint8Array): number {
  const decoded = decode(bytes)
  for (const { scopeSpans } of decoded.resourceSpans) {
    for (const { spans } of scopeSpans) {
      for (const { attributes } of spans) {
        const known = attributes.find(({ key }) => key === 'http.response.status_code')
        if (known) known.value = { intValue: 418 }
        else attributes.push({ key: 'http.response.status_code', value: { intValue: 418 } })
      }
    }
  }
  seen.texts += encode(decoded).length
  return spansOf(decoded)
}
