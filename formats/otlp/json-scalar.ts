/**
 * Scalars of proto3's JSON mapping, exactly: integers are never read through a double, which holds no more than 53 bits.
 * Each function gives undefined where the text is not such a value.
 */

const decimal = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/

/** An integer written as digits, with a fraction of zeros, or with an exponent: `12`, `12.0`, `1.2e1`. */
export function exactInteger(text: string): bigint | undefined {
  if (text.length < 16 && plainInteger.test(text)) return BigInt(text)
  const [, sign, whole, fraction = '', exponent = '0'] = decimal.exec(text) ?? []
  if (whole === undefined) return undefined
  let digits = (whole + fraction).replace(/^0+/, '')
  if (digits === '') return 0n
  const shift = Number(exponent) - fraction.length
  if (shift >= 0) {
    if (digits.length + shift > 20) return undefined
    digits += '0'.repeat(shift)
  } else {
    if (!/^0*$/.test(digits.slice(shift))) return undefined
    digits = digits.slice(0, shift)
    if (digits === '') return undefined
  }
  if (digits.length > 20) return undefined
  return BigInt(`${sign ?? ''}${digits}`)
}

const plainInteger = /^-?\d+$/

/** Bounds of the integer kinds. */
export const integerRange: Readonly<Record<string, readonly [minimum: bigint, maximum: bigint]>> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  enum: [-(2n ** 31n), 2n ** 31n - 1n],
  sint32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  fixed32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  sfixed64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  fixed64: [0n, 2n ** 64n - 1n],
}

const doubleText = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/** A double as number text or as one of the strings `NaN`, `Infinity`, `-Infinity`. What is too large for one is none. */
export function readDouble(text: string): number | undefined {
  if (doubleText.test(text)) {
    const value = Number(text)
    return Number.isFinite(value) ? value : undefined
  }
  if (text === 'NaN') return Number.NaN
  if (text === 'Infinity') return Number.POSITIVE_INFINITY
  return text === '-Infinity' ? Number.NEGATIVE_INFINITY : undefined
}

/** Base64 of both alphabets, padded or not (proto3 JSON mapping). */
export function readBase64(text: string): Uint8Array | undefined {
  const bare = text.replace(/={1,2}$/, '')
  if (!/^[\w+/-]*$/.test(bare) || bare.length % 4 === 1) return undefined
  if (bare.length !== text.length && text.length % 4 !== 0) return undefined
  return Buffer.from(bare, 'base64')
}

/** Hex of either case. */
export function readHex(text: string): Uint8Array | undefined {
  return text.length % 2 === 0 && /^[\dA-Fa-f]*$/.test(text) ? Buffer.from(text, 'hex') : undefined
}

/** A double as JSON: NaN and the infinities as strings, -0 with its sign. */
export function doubleJson(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value)
  return `"${value}"`
}
