import { styleText } from 'node:util'
import type { TraceTree, TreeLine } from './trace-tree.ts'

type Format = Parameters<typeof styleText>[0]

/** A trace as text: a head line, then one line a span, indented by depth. */
export function printTree(tree: TraceTree, useColour: boolean): string {
  const paint = (format: Format, text: string) => (useColour ? styleText(format, text) : text)
  const head = `trace ${tree.traceId}  ${tree.lines.length} spans  ${formatDuration(tree.duration)}`
  return [paint('bold', head), ...tree.lines.map(line => printLine(line, paint))].join('\n') + '\n'
}

function printLine(line: TreeLine, paint: (format: Format, text: string) => string): string {
  const where = `${line.layer} ${line.point.padEnd(5)}`
  const parts = [
    ' '.repeat(line.depth) + paint(colours[line.layer], where),
    line.place,
    line.isError ? paint('red', line.name) : line.name,
    paint('dim', formatDuration(line.duration)),
  ]
  if (line.rule !== '') parts.push(paint('dim', `[${line.rule}${certainty(line.confidence)}]`))
  if (line.incomplete !== '') parts.push(paint('yellow', `incomplete: ${line.incomplete}`))
  return parts.join('  ')
}

const colours = { APP: 'magenta', SYS: 'cyan', NET: 'green' } as const satisfies Record<string, Format>

function certainty(confidence: number): string {
  return confidence === 1 ? '' : ` ${confidence}`
}

/** `812 ns`, `43.1 µs`, `12.3 ms`, `2.05 s`: three digits that count. */
export function formatDuration(ns: bigint): string {
  const value = Number(ns)
  if (Math.abs(value) < 1000) return `${value} ns`
  if (Math.abs(value) < 1e6) return `${(value / 1e3).toPrecision(3)} µs`
  if (Math.abs(value) < 1e9) return `${Number((value / 1e6).toPrecision(3))} ms`
  return `${Number((value / 1e9).toPrecision(3))} s`
}
