/** Peers as child processes: answers in order, and an error instead of a hang if one is missing or ends. */
import { describe, expect, test } from 'vitest';
import { startChild } from '../src/harness.ts';

const echo = `
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === '"leave"') { console.error('Traceback\\nout of paper'); process.exit(3); }
    console.log(JSON.stringify({ heard: JSON.parse(line), mode: process.env.ECHO_MODE }));
  });
`;
const startEcho = () => startChild(process.execPath, ['-e', echo], { ECHO_MODE: 'plain' });

describe('a child', () => {
  test('answers a line with a line, sees the environment it was given, and ends when it is closed', async () => {
    const child = startEcho();
    expect(await child.ask('"first"\n')).toEqual({ heard: 'first', mode: 'plain' });
    expect(await child.ask('"in ', 'two parts"\n')).toEqual({ heard: 'in two parts', mode: 'plain' });
    await child.close();
    await expect(child.ask('"late"\n')).rejects.toThrow('ended with exit code 0');
  });

  test('takes and gives lines longer than a pipe holds', async () => {
    const child = startEcho();
    const long = 'x'.repeat(300_000);
    expect(await child.ask(JSON.stringify(long), '\n')).toEqual({ heard: long, mode: 'plain' });
    await child.close();
  });

  test('that ends instead of answering is one sentence with the last it complained of', async () => {
    const child = startEcho();
    await expect(child.ask('"leave"\n')).rejects.toThrow(/ended with exit code 3: out of paper$/);
    await child.close();
  });

  test('that does not exist is one sentence', async () => {
    const child = startChild('no-such-python', [], {});
    await expect(child.ask('{}\n')).rejects.toThrow('no-such-python cannot be started');
    await child.close();
  });
});
