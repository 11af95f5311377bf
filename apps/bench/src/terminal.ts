/** Results on stdout, and one line of progress on a terminal. */

export type Output = ReturnType<typeof terminalOutput>;

/** Where stderr is no terminal, progress is left out. */
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
