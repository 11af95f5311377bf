/** The choice of the checkpoint to resume from, and the messages about the others. */

import { describe, expect, it } from 'vitest';
import { resumeCommand } from '../../../apps/coordinator/src/run-options.ts';
import { type Checkpoint, encodeCheckpoint } from '../src/checkpoint/checkpoint.ts';
import { chooseCheckpoint } from '../src/checkpoint/open.ts';
import type { StoredCheckpoint } from '../src/checkpoint/store.ts';
import { sha256 } from '../src/node/sha256.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

const { identity } = sampleCheckpoint;
const steps = 1_000;

async function stored(changes: Partial<Checkpoint> = {}, damage = (bytes: Uint8Array) => bytes) {
  const checkpoint = { ...sampleCheckpoint, ...changes };
  const bytes = damage(await encodeCheckpoint(checkpoint, sha256));
  const { step } = checkpoint;
  return { name: `step-${step}`, run: 'run', step, read: async () => bytes } satisfies StoredCheckpoint;
}

const withIdentity = (changes: Partial<Checkpoint['identity']>) => stored({ identity: { ...identity, ...changes } });

describe('chooseCheckpoint', () => {
  it('takes the newest', async () => {
    const { chosen, passedOver } = await chooseCheckpoint([await stored({ step: 9 }), await stored()], identity, steps);
    expect(chosen?.checkpoint.step).toBe(9);
    expect(passedOver).toEqual([]);
  });

  it.each<[what: string, one: () => Promise<StoredCheckpoint>, reason: RegExp]>([
    ['that is torn', () => stored({}, (bytes) => bytes.slice(0, -5)), /expected SHA-256 .*torn or was changed/],
    [
      'that is empty',
      () => stored({}, () => new Uint8Array()),
      /expected a file of the format lockstep-checkpoint\.v1/,
    ],
    [
      'of which a byte has flipped',
      () =>
        stored({}, (bytes) => {
          bytes[bytes.length - 1]! ^= 4;
          return bytes;
        }),
      /expected SHA-256 .*torn or was changed/,
    ],
    [
      'of another model',
      () => withIdentity({ model: { name: 'tiny', layers: [] } }),
      /expected model\.layers\.0 .*got none/,
    ],
    ['of other data', () => withIdentity({ data: 'bb' }), /another run: expected data aa, got bb$/],
    ['of another seed', () => withIdentity({ seed: 2 }), /another run: expected seed 1, got 2$/],
    ['of another batch', () => withIdentity({ batch: 32 }), /another run: expected batch 16, got 32$/],
    [
      'of another learning rate',
      () => withIdentity({ optimizer: { type: 'momentum', learningRate: 0.1 } }),
      /another run: expected optimizer\.learningRate 0\.05, got 0\.1$/,
    ],
    [
      'of other gradients',
      () => withIdentity({ gradients: 'fp16-exact' }),
      /another run: expected gradients exact, got fp16-exact$/,
    ],
    [
      'past the end of this run',
      () => stored({ step: 1_001 }),
      /^it is after step 1001, past the 1000 steps of this run$/,
    ],
    [
      'that cannot be read',
      async () => ({ ...(await stored()), read: () => Promise.reject(new Error('EIO: i/o error, read')) }),
      /^EIO: i\/o error/,
    ],
  ])('passes over one %s, says why, and takes the next', async (_what, one, reason) => {
    const [bad, good] = [await one(), await stored({ step: 100 })];
    const { chosen, passedOver } = await chooseCheckpoint([bad, good], identity, steps);
    expect(chosen?.checkpoint.step).toBe(100);
    expect(passedOver).toEqual([{ stored: bad, reason: expect.stringMatching(reason) }]);
    expect((await chooseCheckpoint([bad], identity, steps)).chosen).toBeUndefined();
  });
});

describe('the command that goes on', () => {
  it('is the one that was given, with --resume once, quoted for a shell', () => {
    expect(resumeCommand('start', ['--checkpoint', 'my runs/a', '--steps', '5'])).toBe(
      "npm start -- --checkpoint 'my runs/a' --steps 5 --resume",
    );
    expect(resumeCommand('coordinator', ['--resume', '--checkpoint', "it's", '--token=a?b'])).toBe(
      "npm run coordinator -- --resume --checkpoint 'it'\\''s' '--token=a?b'",
    );
  });
});
