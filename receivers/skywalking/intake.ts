import type { Answer, Intake, ReceiverContext } from '../../core/component.ts'
import { decodeSegment, readSegment, type Segment } from '../../formats/skywalking/segment.ts'
import { segmentToOtlp } from '../../formats/skywalking/to-otlp.ts'
import { Batch } from '../../model/batch.ts'

/** Turns what agents send into intakes; each segment is one. */
export interface SegmentIntake {
  /** A SegmentObject in protobuf. Resolves when it was accepted, or was broken (counted, logged); never rejects. */
  takeBytes(bytes: Uint8Array, sender: Sender): Promise<void>
  /** A segment in JSON. Resolves to what is wrong with it, or undefined. */
  takeJson(json: unknown, sender: Sender): Promise<string | undefined>
}

export interface Sender {
  /** `address:port` */
  readonly peer: string
  /** Aborted when the call is over: nobody waits for the answer any more. */
  readonly gone: AbortSignal
}

export function createIntake(context: ReceiverContext, emit: (intake: Intake) => void): SegmentIntake {
  return {
    async takeBytes(bytes, sender) {
      await take(() => decodeSegment(bytes), sender)
    },
    takeJson: (json, sender) => take(() => readSegment(json), sender),
  }

  async function take(read: () => Segment, sender: Sender): Promise<string | undefined> {
    let segment: Segment
    try {
      segment = read()
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      context.refuse('traces', 1, 'broken segment')
      context.logger.warn({ peer: sender.peer, problem }, 'A segment could not be read and was refused.')
      return problem
    }
    if (segment.spans.length > 0) await offerUntilTaken(segment, sender)
    return undefined
  }

  /** SkyWalking has no reply that means "later" and loses nothing, so the sender waits, unread, until there is room. */
  async function offerUntilTaken(segment: Segment, sender: Sender): Promise<void> {
    for (;;) {
      const answer = await offer(segment, sender.peer)
      if (answer.kind === 'accepted') return
      if (sender.gone.aborted || context.stopping.aborted) {
        const { reason } = answer
        context.logger.warn(
          { peer: sender.peer, reason },
          'A segment was lost: there was no room until its sender gave up.',
        )
        return
      }
      await new Promise<void>(resolve => context.clock.after(Math.min(answer.retryAfterMs, 500), resolve))
    }
  }

  function offer(segment: Segment, peer: string): Promise<Answer> {
    return new Promise(answer => {
      emit(context.intake(origin => Batch.ofGroups([segmentToOtlp(segment, origin)]), { answer, peer }))
    })
  }
}
