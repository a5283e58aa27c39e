/** Lines of a table: the first column to the left, the others to the right, as wide as they need. */
export function tableLines(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map(row => (row[column] ?? '').length)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd()
  return [line(header), line(widths.map(width => '─'.repeat(width))), ...rows.map(line)]
}

/** 1234567 → `1,234,567`; from 10 on rounded to three digits, so that nobody reads noise. */
export function rounded(value: number): string {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1)) - 2)
  return (Math.round(value / step) * step).toLocaleString('en-US', { maximumFractionDigits: 0 })
}

/** 12.34 → `12.3×` */
export function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 1)}×`
}
