import type { ReadField } from './keys.ts'

/**
 * The pairs in a statement's comments, as sqlcommenter and Datadog's database monitoring write them:
 * `key='value',key='value'`, names and values URL-encoded, quotes in them escaped with a backslash. Of a key that stands twice the
 * first counts. `comments`: texts with or without their delimiters.
 */
export function fieldsOfSqlComments(comments: readonly string[]): ReadField {
  const fields = new Map<string, string>()
  for (const comment of comments) {
    for (const [, key = '', value = ''] of comment.matchAll(pair)) {
      if (fields.size >= mostPairs) break
      const name = decode(key).toLowerCase()
      if (!fields.has(name)) fields.set(name, decode(value.replaceAll("\\'", "'")))
    }
  }
  return name => fields.get(name)
}

/** Bounded repetitions of classes that exclude what follows them: linear. */
const pair = /([\w.%-]{1,64})='((?:[^'\\]|\\.){0,512})'/g
const mostPairs = 32

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
