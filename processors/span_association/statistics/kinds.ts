import { mostKinds } from './model.ts'

/**
 * Numbers for kinds of requests and calls, in order of first sight. What varies from one to the next (numbers, ids) does not make a
 * kind: `GET /user/123` and `GET /user/124` are one. Past the limit all others share the last number.
 */
export interface Kinds {
  numberOf(name: string): number
}

export function createKinds(): Kinds {
  const numbers = new Map<string, number>()
  return {
    numberOf(name) {
      const kind = name.replaceAll(varying, '*')
      let number = numbers.get(kind)
      if (number === undefined) {
        number = Math.min(numbers.size, mostKinds - 1)
        if (numbers.size < mostKinds) numbers.set(kind, number)
      }
      return number
    },
  }
}

/** A run of letters, digits and dashes with a digit in it, after a separator: a version (`v2`) is short and stays. */
const varying = /(?<=[/=:?&,; ])(?=[\w-]*\d)(?!v\d{1,2}\b)[\w-]+/g

/** What of a path could turn up again in a call: its varying parts, as far as they are long enough to tell. */
export function wordsOf(path: string): readonly string[] {
  if (path === '') return none
  const words = path.match(varying)
  return words ? words.filter(word => word.length > 1).slice(0, mostWords) : none
}

const mostWords = 8
const none: readonly string[] = []
