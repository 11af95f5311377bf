/** Answers on stdout, and one line on a terminal that says what one waits for. */

export interface Output {
  print(line: string): void;
  progress(message: string): void;
}

/** Where stderr is no terminal, progress is left out. */
export function terminalOutput(): Output {
  const live = process.stderr.isTTY === true;
  const clear = live ? '\r\u001b[K' : '';
  return {
    print(line) {
      process.stderr.write(clear);
      process.stdout.write(`${line}\n`);
    },
    progress(message) {
      if (live) process.stderr.write(`${clear}${message}`);
    },
  };
}
