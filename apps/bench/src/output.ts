/** Text for people: the machine, figures, tables, and printing them on a terminal. */
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { formatTable } from '@lockstep/command';
import type { Spread } from './statistics.ts';

export type Output = ReturnType<typeof terminalOutput>;

/** Progress is omitted unless stderr is a terminal. */
export function terminalOutput() {
  const isLive = process.stderr.isTTY === true;
  const clear = isLive ? '\r\u001b[K' : '';
  return {
    print(...lines: readonly string[]): void {
      process.stderr.write(clear);
      for (const line of lines) process.stdout.write(`${line}\n`);
    },
    progress(message: string): void {
      if (isLive) process.stderr.write(`${clear}${message}`);
    },
  };
}

export type Machine = ReturnType<typeof describeMachine>;

export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() || process.arch,
    /** Cores that this process may use. */
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
  };
}

/** Two lines printed above all figures. */
export function machineLines({ cpu, cores, memoryGiB, platform, node, v8 }: Machine): string[] {
  return [`${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}`, `Node ${node}, V8 ${v8}`];
}

/** Whole, with commas: 101,770. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Three significant digits with at most two decimals. */
export function milliseconds(ms: number): string {
  if (ms >= 100) return ms.toFixed(0);
  return ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** A ratio: 1.04x. */
export function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

/** The ends of a spread: (0.52 .. 0.61). */
export function ends({ min, max }: Spread, text: (value: number) => string): string {
  return `(${text(min)} .. ${text(max)})`;
}

/** @param headers one for each column; the first, for names, may be empty */
export function figuresTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = headers.map((header, index) => ({ header, align: index === 0 ? 'left' : 'right' }) as const);
  return formatTable(columns, rows, '  ');
}
