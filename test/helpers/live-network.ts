import { execFileSync } from 'node:child_process'
import { createFlow } from '../../flow/index.ts'
import { names } from '../../model/attribute-names.ts'
import type { Span } from '../../model/span.ts'
import { python, type Capture, type Program } from './live-capture.ts'

/** Answers each HTTP request; the first argument is its port, the second what it does. */
const serverCode = `
import socket, struct, sys, threading, time
s = socket.create_server(('0.0.0.0', int(sys.argv[1])))
print(s.getsockname()[1])
body = b'x' * int(sys.argv[3])
def serve(c):
    try:
        while True:
            request = b''
            while b'\\r\\n\\r\\n' not in request:
                more = c.recv(65536)
                if not more: return
                request += more
            if sys.argv[2] == 'reset':
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close(); return
            c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body)
    except OSError: pass
    finally: c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`

/** Asks once per line of its input, whose words are the path and seconds to wait before reading; says how much came. */
const clientCode = `
import socket, sys, time
c = socket.socket()
if len(sys.argv) > 3: c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[3]))
c.connect((sys.argv[1], int(sys.argv[2])))
print('connected')
for line in sys.stdin:
    path, pause, size = line.split()
    try:
        c.sendall(b'GET ' + path.encode() + b' HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n')
        time.sleep(float(pause))
        got = b''
        while b'\\r\\n\\r\\n' not in got or len(got.split(b'\\r\\n\\r\\n', 1)[1]) < int(size):
            more = c.recv(65536)
            if not more: break
            got += more
        print('got', len(got))
    except OSError as error: print(error)
`

export interface WebServer {
  readonly program: Program
  readonly port: number
}

export const startWeb = async (
  netns: string,
  { port = 0, does = 'answer', bodyBytes = 2 } = {},
): Promise<WebServer> => {
  const program = python(serverCode, { netns, args: [String(port), does, String(bodyBytes)] })
  return { program, port: Number(await program.line()) }
}

export interface WebClient {
  readonly program: Program
  /** What it says when the answer is there. */
  get(path: string, wait?: { pauseS?: number; bodyBytes?: number }): Promise<string>
}

export const connectWeb = async (
  netns: string,
  address: string,
  port: number,
  receiveBuffer?: number,
): Promise<WebClient> => {
  const more = receiveBuffer === undefined ? [] : [String(receiveBuffer)]
  const program = python(clientCode, { netns, args: [address, String(port), ...more] })
  await program.line()
  return {
    program,
    get(path, { pauseS = 0, bodyBytes = 2 } = {}) {
      program.say(`${path} ${pauseS} ${bodyBytes}`)
      return program.line()
    },
  }
}

export interface SeenSpan {
  readonly point: string
  readonly interface: string
  readonly netns: number
  readonly span: Span
}

/** What flow makes of all that was captured: spans of exchanges with that path, by start. */
export const spansOf = (capture: Capture, path: string): SeenSpan[] => {
  const flow = createFlow()
  const finished = [...flow.push(capture.events), ...flow.flush()]
  return finished
    .map(({ span }) => ({
      point: span.text(names.observationPoint),
      interface: span.text(names.interfaceName),
      netns: span.number(names.netns) ?? 0,
      span,
    }))
    .filter(({ span }) => span.text(names.urlPath) === path)
    .sort((one, other) => (one.span.startTimeUnixNano < other.span.startTimeUnixNano ? -1 : 1))
}

export const shell = (command: string): string =>
  execFileSync('sh', ['-ec', command], { encoding: 'utf8' }).trim()
