import { readFileSync } from 'node:fs'
import type { Owner } from './component.ts'
import { FullspanError } from './errors.ts'

/** Whom a process that was started as root is to become; undefined where it has nothing to give up. */
export function futureOwner(user: string): Owner | undefined {
  if (process.getuid?.() !== 0 || user === 'root') return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find(each => each.startsWith(`${user}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined) throw noSuchUser(user)
  return { uid: Number(uid), gid: Number(gid) }
}

/**
 * Becomes an ordinary user: supplementary groups, group, user, in this order, because each step needs what the next gives up. With the
 * user id all capabilities go (capabilities(7)).
 */
export function dropPrivileges({ uid, gid }: Owner): void {
  process.setgroups?.([gid])
  process.setgid?.(gid)
  process.setuid?.(uid)
}

function noSuchUser(user: string): FullspanError {
  return new FullspanError({
    code: 'SERVICE_NO_SUCH_USER',
    remedy: 'fix-config',
    message: `There is no user "${user}" on this machine to become after the start. Set service.run_as to one that exists, or to "root" to stay root.`,
  })
}
