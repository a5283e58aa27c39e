import { names } from '../../model/attribute-names.ts'
import type { AttributeValue, Decoder, Message, Recorder, Speaker, Transport } from '../protocol.ts'
import { dnsRcodeName, dnsTypeName, parseDns } from './message.ts'
import type { DnsMessage } from './message.ts'
import { createTcpFrames } from './tcp-frames.ts'

/** Questions that wait for an answer on one socket; beyond it the oldest leaves without one. */
const maximumPending = 1024

interface Question {
  readonly message: Message
  readonly dns: DnsMessage
}

export function createDecoder(recorder: Recorder, transport: Transport): Decoder {
  const pending = new Map<string, Question>()

  function take(message: Message, bytes: Uint8Array, length: number): void {
    const dns = parseDns(bytes, length)
    if (dns === undefined) return
    const key = messageKey(dns)
    if (dns.isResponse) {
      const question = pending.get(key)
      if (question === undefined) return
      pending.delete(key)
      emit(question, message, dns)
    } else if (!pending.has(key)) {
      // the same question again is the resolver trying once more: the first one counts
      if (pending.size >= maximumPending) giveUp(pending.keys().next().value ?? '')
      pending.set(key, { message, dns })
    }
  }

  function emit(question: Question, response?: Message, answer?: DnsMessage): void {
    const rcode = answer?.rcode ?? 0
    recorder.exchange({
      request: question.message,
      response,
      name: `DNS ${dnsTypeName(question.dns.type)}`,
      attributes: attributesOf(question.dns, answer),
      error:
        rcode === 0 ? undefined : { type: dnsRcodeName(rcode), message: '', countsFor: countsFor(rcode) },
      isTruncated: answer?.isCut === true,
    })
  }

  function giveUp(key: string): void {
    const question = pending.get(key)
    pending.delete(key)
    if (question !== undefined) emit(question)
  }

  const frames = transport === 'tcp' ? createTcpFrames(recorder, take) : undefined

  return {
    push(from: Speaker, bytes: Uint8Array, length: number) {
      if (frames !== undefined) frames.push(from, bytes, length)
      else {
        const message = recorder.begin(from, 0)
        recorder.end(message, length)
        take(message, bytes, length)
      }
    },
    turn: from => frames?.turn(from),
    quiet: () => undefined,
    close() {
      for (const key of [...pending.keys()]) giveUp(key)
    },
  }
}

/** Resolvers may mix the case of names (0x20): it does not count. */
function messageKey(dns: DnsMessage): string {
  return `${dns.id} ${dnsTypeName(dns.type)} ${dns.name.toLowerCase()}`
}

function attributesOf(question: DnsMessage, answer: DnsMessage | undefined): Record<string, AttributeValue> {
  return {
    [names.networkProtocolName]: 'dns',
    [names.dnsQuestionName]: question.name,
    [names.dnsQuestionType]: dnsTypeName(question.type),
    [names.keyMessageId]: messageKey(question),
    ...(answer !== undefined && answer.answers.length > 0 && { [names.dnsAnswers]: answer.answers }),
  }
}

/** NXDOMAIN is a true answer of the server; the client did not get what it wanted. */
function countsFor(rcode: number): 'client' | 'both' {
  return rcode === 3 ? 'client' : 'both'
}
