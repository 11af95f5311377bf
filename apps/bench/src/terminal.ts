/** Results on stdout, and one line of progress on a terminal. */

export interface Output {
  print(...lines: readonly string[]): void;
  progress(message: string): void;
}

/** Where stderr is no terminal, progress is left out. */
export function terminalOutput(): Output {
  const isLive = process.stderr.isTTY === true;
  const clear = isLive ? '\r\u001b[K' : '';
  return {
    print(...lines) {
      process.stderr.write(clear);
      for (const line of lines) process.stdout.write(`${line}\n`);
    },
    progress(message) {
      if (isLive) process.stderr.write(`${clear}${message}`);
    },
  };
}
