/** What Fullspan reads of one DNS message (RFC 1035 §4). */
export interface DnsMessage {
  readonly id: number
  readonly isResponse: boolean
  readonly opcode: number
  readonly rcode: number
  /** The first question. '' and 0 when there is none. `.` is the root. */
  readonly name: string
  readonly type: number
  /** Answers of the wanted types, as text. */
  readonly answers: readonly string[]
  /** Its end was not captured. */
  readonly isCut: boolean
}

const headerBytes = 12
const maximumAnswers = 16
const questionClasses = new Set([1, 3, 4, 254, 255])

/**
 * Strict in the header and the question, so that it serves to recognise DNS; answers are read as far as they go. `length`:
 * of the whole message, of which `bytes` may be the head. undefined: no DNS message.
 */
export function parseDns(bytes: Uint8Array, length: number): DnsMessage | undefined {
  if (bytes.length < headerBytes) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const flags = view.getUint16(2)
  const opcode = (flags >> 11) & 15
  const questions = view.getUint16(4)
  const answerCount = view.getUint16(6)
  const isResponse = flags >= 0x8000
  if (opcode > 6 || opcode === 3 || (flags & 0x40) !== 0 || questions > 1) return undefined
  if (questions === 0 && !isResponse) return undefined
  if (!isResponse && (flags & 15) !== 0) return undefined
  if (answerCount + view.getUint16(8) + view.getUint16(10) > length / 11 + 1) return undefined // 11 bytes is the least record
  const message = { id: view.getUint16(0), isResponse, opcode, rcode: flags & 15 }
  const rest = { name: '', type: 0, answers: [], isCut: bytes.length < length }
  if (questions === 0) return { ...message, ...rest }

  const question = readName(bytes, headerBytes)
  if (question === undefined || question.end + 4 > bytes.length) return undefined
  const type = view.getUint16(question.end)
  const questionClass = view.getUint16(question.end + 2) & 0x7fff // mDNS: the top bit asks for a unicast answer
  if (type === 0 || !questionClasses.has(questionClass)) return undefined
  const answers = readAnswers(bytes, view, question.end + 4, Math.min(answerCount, maximumAnswers))
  return { ...message, ...rest, name: question.name, type, answers }
}

function readAnswers(bytes: Uint8Array, view: DataView, from: number, count: number): string[] {
  const answers: string[] = []
  let at = from
  for (let index = 0; index < count; index++) {
    const owner = readName(bytes, at)
    if (owner === undefined || owner.end + 10 > bytes.length) break
    const type = view.getUint16(owner.end)
    const dataAt = owner.end + 10
    const dataLength = view.getUint16(owner.end + 8)
    if (dataAt + dataLength > bytes.length) break
    const text = answerText(bytes, view, type, dataAt, dataLength)
    if (text !== '') answers.push(text)
    at = dataAt + dataLength
  }
  return answers
}

/** A, AAAA, and what names another name: NS, CNAME, PTR, MX, SRV. Others (TXT above all) may hold anything: left out. */
function answerText(bytes: Uint8Array, view: DataView, type: number, at: number, length: number): string {
  if (type === 1 && length === 4) return bytes.subarray(at, at + 4).join('.')
  if (type === 28 && length === 16) return ipv6Text(view, at)
  if (type === 2 || type === 5 || type === 12) return readName(bytes, at)?.name ?? ''
  if (type === 15) return readName(bytes, at + 2)?.name ?? ''
  if (type === 33 && length > 6) {
    const target = readName(bytes, at + 6)
    return target === undefined ? '' : `${target.name}:${view.getUint16(at + 4)}`
  }
  return ''
}

/** RFC 5952: lower case, no leading zeros, the longest run of zero groups as `::`. */
function ipv6Text(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(at + 2 * index).toString(16))
  let runStart = -1
  let runLength = 1
  for (let start = 0; start < 8; start++) {
    let end = start
    while (end < 8 && groups[end] === '0') end++
    if (end - start > runLength) {
      runStart = start
      runLength = end - start
    }
  }
  if (runStart === -1) return groups.join(':')
  return `${groups.slice(0, runStart).join(':')}::${groups.slice(runStart + runLength).join(':')}`
}

/** A name as text without the last dot; follows compression pointers, backwards only. `end`: where it ends at `from`. */
function readName(bytes: Uint8Array, from: number): { name: string; end: number } | undefined {
  let name = ''
  let at = from
  let end = -1
  for (;;) {
    // ends: pointers lead backwards, and between two of them the name grows or ends
    const length = bytes[at]
    if (length === undefined) return undefined
    if (length === 0) return { name: name === '' ? '.' : name, end: end === -1 ? at + 1 : end }
    if (length >= 0xc0) {
      const low = bytes[at + 1]
      const target = ((length & 0x3f) << 8) | (low ?? 0)
      if (low === undefined || target >= at || target < headerBytes) return undefined
      if (end === -1) end = at + 2
      at = target
      continue
    }
    if (length > 63 || at + 1 + length > bytes.length || name.length + length > 255) return undefined
    if (name !== '') name += '.'
    for (let index = at + 1; index <= at + length; index++) name += labelText(bytes[index]!)
    at += 1 + length
  }
}

/** RFC 4343 §2.1: what is not printable, and dots and backslashes within labels, as `\DDD`. */
function labelText(byte: number): string {
  const isPlain = byte > 32 && byte < 127 && byte !== 46 && byte !== 92
  return isPlain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`
}

const typeNames: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  28: 'AAAA',
  33: 'SRV',
  35: 'NAPTR',
  41: 'OPT',
  43: 'DS',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  52: 'TLSA',
  64: 'SVCB',
  65: 'HTTPS',
  251: 'IXFR',
  252: 'AXFR',
  255: 'ANY',
  257: 'CAA',
}

/** RFC 3597: types without a name of their own are `TYPE123`. */
export function dnsTypeName(type: number): string {
  return typeNames[type] ?? `TYPE${type}`
}

const rcodeNames = [
  'NOERROR',
  'FORMERR',
  'SERVFAIL',
  'NXDOMAIN',
  'NOTIMP',
  'REFUSED',
  'YXDOMAIN',
  'YXRRSET',
  'NXRRSET',
  'NOTAUTH',
  'NOTZONE',
]

export function dnsRcodeName(rcode: number): string {
  return rcodeNames[rcode] ?? `RCODE${rcode}`
}
