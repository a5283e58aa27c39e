/** TLS records by hand. What is encrypted in them is noise that depends on `seed`. */
export const overhead13 = 17

export function record(type: number, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 3, payload.length >> 8, payload.length & 0xff]), payload])
}

export function noise(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (seed * 89 + index * 31) & 0xff))
}

/** Application data of TLS 1.3 with so many bytes in the clear. */
export function sealed(plaintextBytes: number, seed: number): Buffer {
  return record(23, noise(plaintextBytes + overhead13, seed))
}

export function clientHello(serverName: string): Buffer {
  const name = Buffer.from(serverName)
  const list = Buffer.concat([word(name.length + 3), Buffer.from([0]), word(name.length), name])
  const extensions = Buffer.concat([word(0), word(list.length), list])
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    noise(32, 1),
    Buffer.from([0]), // session id
    Buffer.from([0, 2, 0x13, 1]),
    Buffer.from([1, 0]),
    word(extensions.length),
    extensions,
  ])
  return record(22, Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 0xff]), body]))
}

export function serverHello(version: '1.2' | '1.3', cipher = version === '1.3' ? 0x1302 : 0xc02f): Buffer {
  const extensions =
    version === '1.3' ? Buffer.from([0, 43, 0, 2, 3, 4]) : Buffer.from([0, 16, 0, 5, 0, 3, 2, 0x68, 0x32])
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    noise(32, 2),
    Buffer.from([0]),
    word(cipher),
    Buffer.from([0]),
    word(extensions.length),
    extensions,
  ])
  return record(22, Buffer.concat([Buffer.from([2, 0, body.length >> 8, body.length & 0xff]), body]))
}

export const changeCipherSpec = record(20, Buffer.from([1]))
/** With SHA-384. */
export const finished = record(23, noise(4 + 48 + overhead13, 3))
export const ticket = (seed: number): Buffer => record(23, noise(250, seed))
export const alert = record(23, noise(2 + overhead13, 9))

function word(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}
