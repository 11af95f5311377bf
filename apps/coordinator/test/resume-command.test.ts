import { expect, it } from 'vitest';
import { resumeCommand } from '../src/run-options.ts';

it.each([
  [['--checkpoint', 'runs/a b'], "--checkpoint 'runs/a b' --resume"],
  [['--checkpoint', 'runs', '--resume'], '--checkpoint runs --resume'],
  [['--fleet', 'nats://user:p@h:1,tls://u:x@i:2'], '--fleet nats://h:1,tls://i:2'],
  [['--fleet=nats://user:secret@h', '--run', 'x'], '--fleet=nats://h --run x'],
])('%j goes on by %s', (args, expected) => {
  expect(resumeCommand('start', args)).toBe(`npm start -- ${expected}`);
});
