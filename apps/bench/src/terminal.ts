/** Prints results on stdout, and one progress line on a terminal. */

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
