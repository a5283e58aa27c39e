import { FullspanError } from '../errors.ts'
import { messageWithPlace } from '../plugins/place-of.ts'
import type { ComponentContext } from '../component.ts'

/** How long a component may take to start before it is named in the log, and again after as long. */
const patienceMs = 10_000

/**
 * Calls a component's `create`. Whatever it throws is told with the component's name; while it does not return it is named in the log. `isRight`
 * looks at what came, since plugins in JavaScript can give anything; `expected` says what should have.
 */
export async function createComponent<T>(
  { id, logger, clock }: Pick<ComponentContext, 'id' | 'logger' | 'clock'>,
  create: () => T | Promise<T>,
  { isRight, expected }: { isRight: (made: unknown) => boolean; expected: string },
): Promise<T> {
  let seconds = 0
  let cancel: () => void = () => undefined
  const wait = (): void => {
    cancel = clock.after(patienceMs, () => {
      seconds += patienceMs / 1000
      logger.warn({ seconds }, 'has not started yet; everything waits for it')
      wait()
    })
  }
  wait()
  try {
    const made = await create()
    if (isRight(made)) return made
    throw cannotStart(id, `its create gave ${String(made)} instead of ${expected}`)
  } catch (error) {
    if (error instanceof FullspanError) throw error
    throw cannotStart(id, messageWithPlace(error), error)
  } finally {
    cancel()
  }
}

function cannotStart(id: string, reason: string, cause?: unknown): FullspanError {
  return new FullspanError({
    code: 'COMPONENT_CANNOT_START',
    remedy: 'fix-config',
    message: `${id} cannot start: ${reason}.`,
    cause,
  })
}

export function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}

/** An object that has a method of this name. */
export function hasMethod(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && isFunction(Reflect.get(value, name))
}
