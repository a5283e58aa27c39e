/** What a rule says of a span is asked for many times in one look, and costs a search: remembered until `version` changes. */
export function memoised<Key extends object, Value>(
  index: { readonly version: number },
  rule: (key: Key) => Value,
): (key: Key) => Value {
  const known = new Map<Key, Value>()
  let version = -1
  return key => {
    if (version !== index.version) {
      version = index.version
      known.clear()
    }
    const value = known.get(key)
    if (value !== undefined || known.has(key)) return value!
    const found = rule(key)
    known.set(key, found)
    return found
  }
}
