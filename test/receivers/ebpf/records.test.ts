import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { firstValueFrom, lastValueFrom, toArray } from 'rxjs'
import t from 'tap'
import type { CaptureEvent } from '../../../flow/events.ts'
import { ipv4Text, ipv6Text } from '../../../receivers/ebpf/addresses.ts'
import * as layout from '../../../receivers/ebpf/layout.ts'
import { startProbe } from '../../../receivers/ebpf/probe.ts'
import { openRecorder, replay } from '../../../receivers/ebpf/recording.ts'
import { createRecordDecoder } from '../../../receivers/ebpf/records.ts'
import { checkout } from '../../helpers/live-capture.ts'

const golden = (name: string): string => join(checkout, 'test/golden/ebpf', `${name}.rec`)
const recordsOf = (name: string): Buffer => readFileSync(golden(name)).subarray(16)
const decode = (bytes: Uint8Array): CaptureEvent[] => {
  const decoder = createRecordDecoder()
  const events = decoder.push(bytes)
  decoder.end()
  return events
}
const texts = (events: readonly CaptureEvent[]): string[] =>
  events.flatMap(event =>
    event.type === 'socket_data'
      ? [`${event.direction} ${Buffer.from(event.payload).toString('latin1').split('\r\n')[0]!}`]
      : [],
  )

t.test('reads what the probe said of a request over address translation', t => {
  const events = decode(recordsOf('http-veth'))
  t.match(events[0], { type: 'host', bootId: /^[0-9a-f]{32}$/, netTier: /net_dev_queue/ })
  t.same(texts(events).slice(0, 5), [
    'send GET /hello.txt HTTP/1.1',
    'receive GET /hello.txt HTTP/1.1',
    'send HTTP/1.0 200 OK',
    'send hello\n',
    'receive HTTP/1.0 200 OK',
  ])
  const packets = events.filter(event => event.type === 'packet')
  t.match(packets[0], {
    transport: 'tcp',
    direction: 'transmit',
    destination: { address: '10.97.1.1', port: 80 },
  })
  t.match(packets[3], { direction: 'receive', destination: { address: '10.97.2.2', port: 8080 } })
  t.equal(packets[0]!.seq, packets[3]!.seq)
  t.match(
    events.find(event => event.type === 'process'),
    { name: 'curl', executable: '/usr/bin/curl' },
  )
  t.end()
})

t.test('gives the same events however the bytes are cut', t => {
  const bytes = recordsOf('dns')
  const whole = decode(bytes)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }), sizes => {
      const decoder = createRecordDecoder()
      const events: CaptureEvent[] = []
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length]!
        events.push(...decoder.push(bytes.subarray(at, at + size)))
        at += size
      }
      decoder.end()
      return events.length === whole.length && texts(events).join() === texts(whole).join()
    }),
    { numRuns: 50 },
  )
  t.end()
})

t.test('never does worse than refuse hostile bytes', t => {
  const bytes = recordsOf('dns')
  const isRefused = (error: unknown): boolean =>
    error instanceof Error && 'code' in error && error.code === 'EBPF_BROKEN_STREAM'
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, length) => {
      const spoilt = Buffer.from(bytes.subarray(0, length))
      if (at < length) spoilt[at] = value
      try {
        decode(spoilt)
        return true
      } catch (error) {
        return isRefused(error)
      }
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), noise => {
      try {
        decode(noise)
        return noise.length === 0
      } catch (error) {
        return isRefused(error)
      }
    }),
  )
  t.throws(() => decode(bytes.subarray(0, -1)), {
    code: 'EBPF_BROKEN_STREAM',
    message: /ends inside a record/,
  })
  const newer = Buffer.from(bytes)
  newer.writeUInt16LE(9, layout.record.version)
  t.throws(() => decode(newer), { message: /speaks version 9 of its protocol, not 1/ })
  t.end()
})

t.test('skips records of unknown types, and counts them', t => {
  const unknown = Buffer.alloc(20)
  unknown.writeUInt32LE(20, layout.record.length)
  unknown.writeUInt16LE(99, layout.record.type)
  unknown.writeUInt16LE(layout.protocolVersion, layout.record.version)
  const decoder = createRecordDecoder()
  const bytes = recordsOf('dns')
  t.equal(decoder.push(Buffer.concat([unknown, bytes, unknown])).length, decode(bytes).length)
  t.equal(decoder.skipped, 2)
  t.end()
})

const record = (type: number, size: number, fill: (bytes: Buffer) => void): Buffer => {
  const bytes = Buffer.alloc(size)
  bytes.writeUInt32LE(size, layout.record.length)
  bytes.writeUInt16LE(type, layout.record.type)
  bytes.writeUInt16LE(layout.protocolVersion, layout.record.version)
  fill(bytes)
  return bytes
}

t.test('gives Unix sockets the paths that were told before', t => {
  const named = (cookie: bigint, local: string, remote: string): Buffer =>
    record(layout.recordType.socket_name, layout.socketNameRecord.size, bytes => {
      const at = layout.socketNameRecord
      bytes.writeBigUInt64LE(cookie, at.cookie)
      bytes[at.local_length] = bytes.write(local, at.local)
      bytes[at.remote_length] = bytes.write(remote, at.remote)
    })
  const data = (cookie: bigint): Buffer =>
    record(layout.recordType.socket_data, layout.socketDataRecord.size, bytes => {
      bytes.writeBigUInt64LE(cookie, layout.socketDataRecord.cookie)
      bytes[layout.socketDataRecord.ends + layout.endpoints.family] = 1
    })
  const stream = [named(1n, '/run/db.sock\0', ''), data(1n), named(2n, '', '\0hidden'), data(2n), data(3n)]
  const events = decode(Buffer.concat(stream)).flatMap(event =>
    event.type === 'socket_data' ? [[event.transport, event.local.address, event.remote.address]] : [],
  )
  t.same(events, [
    ['unix', '/run/db.sock', ''],
    ['unix', '', '@hidden'],
    ['unix', '', ''],
  ])
  t.end()
})

t.test('reads what older recordings lack as nothing', t => {
  const old = record(layout.recordType.loss, layout.shortestLossRecord, bytes => {
    bytes.writeBigUInt64LE(7n, layout.lossRecord.lost)
  })
  t.match(decode(old), [{ type: 'loss', reasons: { ring_full: 7 } }])
  t.end()
})

t.test('writes addresses as text in their canonical form', t => {
  t.equal(ipv4Text(Uint8Array.of(192, 0, 2, 1), 0), '192.0.2.1')
  const groups = (...values: number[]): Uint8Array =>
    Uint8Array.from(values.flatMap(each => [each >> 8, each & 255]))
  const cases: [number[], string][] = [
    [[0, 0, 0, 0, 0, 0, 0, 0], '::'],
    [[0, 0, 0, 0, 0, 0, 0, 1], '::1'],
    [[0xfd00, 0, 0, 0, 0, 0, 0, 2], 'fd00::2'],
    [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], '2001:db8:0:1:1:1:1:1'],
    [[0x2001, 0, 0, 1, 0, 0, 0, 1], '2001:0:0:1::1'],
    [[1, 0, 0, 0, 0, 0, 0, 0], '1::'],
  ]
  for (const [bytes, text] of cases) t.equal(ipv6Text(groups(...bytes), 0), text)
  t.end()
})

interface BtfType {
  readonly id: number
  readonly kind: string
  readonly name: string
  readonly size?: number
  readonly members?: readonly { readonly name: string; readonly bits_offset: number }[]
  readonly values?: readonly { readonly name: string; readonly val: number }[]
}

const object = join(checkout, 'bpf/build/probe.bpf.o')
t.test(
  'lays records out as the built object does',
  { skip: !existsSync(object) && `${object} is not built` },
  t => {
    const text = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', object, 'format', 'raw'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    })
    const { types } = JSON.parse(text) as { types: BtfType[] }
    const tables: Record<string, Readonly<Record<string, number>>> = {
      record: layout.record,
      host_record: layout.hostRecord,
      clock_record: layout.clockRecord,
      process_record: layout.processRecord,
      process_exit_record: layout.processExitRecord,
      interface_address: layout.interfaceAddress,
      interface_record: layout.interfaceRecord,
      interface_gone_record: layout.interfaceGoneRecord,
      endpoints: layout.endpoints,
      socket_data_record: layout.socketDataRecord,
      tls_data_record: layout.tlsDataRecord,
      socket_close_record: layout.socketCloseRecord,
      packet_record: layout.packetRecord,
      tunnel: layout.tunnel,
      tunnel_packet_record: layout.tunnelPacketRecord,
      network_event_record: layout.networkEventRecord,
      own_connection_record: layout.ownConnectionRecord,
      loss_record: layout.lossRecord,
      gap_record: layout.gapRecord,
      tick_record: layout.tickRecord,
      socket_name_record: layout.socketNameRecord,
      socket_counts_record: layout.socketCountsRecord,
      level_record: layout.levelRecord,
      connection_command: layout.connectionCommand,
    }
    for (const [name, table] of Object.entries(tables)) {
      const struct = types.find(type => type.kind === 'STRUCT' && type.name === name)
      const { size, ...offsets } = table
      const found = (struct?.members ?? [])
        .filter(member => member.name !== 'head' && !member.name.startsWith('padding'))
        .map(member => [member.name, member.bits_offset / 8])
      t.same(Object.fromEntries(found), offsets, `struct ${name}`)
      t.equal(struct?.size, size, `size of struct ${name}`)
    }
    const enumeration = (first: string): [string, number][] =>
      types
        .find(type => type.kind === 'ENUM' && type.values?.[0]?.name === first)!
        .values!.map(value => [value.name.toLowerCase(), value.val])
    t.same(
      enumeration('LOSS_RING_FULL').slice(0, -1),
      layout.lossReasons.map((reason, index) => [`loss_${reason}`, index]),
    )
    t.same(
      enumeration('MODE_WHOLE'),
      Object.entries(layout.mode).map(([name, value]) => [`mode_${name}`, value]),
    )
    t.same(
      enumeration('TUNNEL_VXLAN'),
      layout.tunnelTypes.map((name, index) => [`tunnel_${name}`, index + 1]),
    )
    t.same(
      enumeration('NETWORK_CONNECTED'),
      layout.networkKinds.map((name, index) => [`network_${name}`, index + 1]),
    )
    t.same(
      enumeration('RECORD_HOST').filter(([, value]) => value < 0x100),
      Object.entries(layout.recordType).map(([name, value]) => [`record_${name}`, value]),
    )
    t.end()
  },
)

t.test('replays a recording at its own pace, too', async t => {
  const whole = decode(recordsOf('dns'))
  const replayed = await lastValueFrom(replay(golden('dns'), { pace: 'real-time' }).pipe(toArray()), {
    defaultValue: [],
  })
  t.same(texts(replayed.flat()), texts(whole))
})

t.test('records up to its limit, and says what it left out', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'fullspan-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'some.rec')
  const bytes = recordsOf('dns')
  const reasons: string[] = []
  const recorder = openRecorder({ path, maxBytes: 1000, onFull: reason => reasons.push(reason) })
  recorder.write(bytes.subarray(0, 900))
  recorder.write(bytes.subarray(900, 1100))
  recorder.write(bytes.subarray(1100, 1150))
  recorder.close()
  t.same(reasons, ['the recording is full: 1000 bytes'], 'once')
  t.equal(recorder.writtenBytes, 900)
  t.equal(readFileSync(path).length, 916)
  const events = (
    await lastValueFrom(replay(path, { pace: 'fast' }).pipe(toArray()), { defaultValue: [] })
  ).flat()
  t.same(events, createRecordDecoder().push(bytes.subarray(0, 900)), 'up to the last whole record')

  writeFileSync(path, 'something else')
  await t.rejects(firstValueFrom(replay(path, { pace: 'fast' }), { defaultValue: [] }), {
    code: 'EBPF_BROKEN_STREAM',
  })
})

t.test('refuses to start a probe that is not built', t => {
  const start = () =>
    startProbe({
      packageRoot: '/nowhere',
      ownPids: [],
      ownPorts: [],
      udpPorts: [],
      maxPayloadBytes: 1024,
      ringBytes: 1 << 20,
      hasNet: true,
      onMessage: () => undefined,
    })
  t.throws(start, { code: 'EBPF_CANNOT_CAPTURE', message: /not built.*make build/ })
  t.end()
})
