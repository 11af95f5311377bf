/**
 * A fleet's transcript: leaders that die at any moment continue one chain, and whoever changes it or lies in it is found.
 */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomStream } from '@lockstep/tensor';
import { audit, type Finding, type ReplayState } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { sealedState, TranscriptEncoder } from '../../../packages/audit/src/format.ts';
import { readTranscript } from '../../../packages/audit/src/read-transcript.ts';
import type { Transcriber } from '../../../packages/audit/src/transcriber.ts';
import { endForged, flipBit, forgeStep, type Lies, openForge } from '../../../packages/audit/test/recorded-run.ts';
import { Fleet } from '../../../packages/fleet/src/fleet.ts';
import { RunRecords } from '../../../packages/fleet/src/records.ts';
import { MemoryStore } from '../../../packages/fleet/test/memory-store.ts';
import type { SavedTranscript } from '../../../packages/record/src/checkpoint.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyData, tinyModel } from '../../../packages/train/test/tiny-dataset.ts';

const folder = temporaryFolder();
const file = join(folder, 'run.transcript');
const data = tinyData;
const options = { data, model: tinyModel, batch: 16, microbatch: 4, steps: 16, epochs: 10, threads: 1 };
const forge = await openForge(options);
const { replay, plan } = forge;
const { initial } = replay;

interface Checkpointed {
  readonly state: ReplayState;
  readonly transcript: SavedTranscript;
}

/** A leader that resumes from a checkpoint, or else from the beginning. */
function lead(store: MemoryStore, number: number, from: Checkpointed | undefined) {
  const name = `host-${number}`;
  const link = store.link();
  const records = new RunRecords(link, 'x');
  replay.restore(from?.state ?? initial);
  const parts = {
    ...{ name, place: records.place },
    writePart: (part: Parameters<RunRecords['writePart']>[0]) => records.writePart(part, number),
    readParts: (last?: string) => records.readParts(last),
  };
  const firstStep = replay.step;
  return { ...forge.begin({ file, store: parts, before: from?.transcript, firstStep }), link, name, firstStep };
}

async function checkpointOf(transcriber: Transcriber): Promise<Checkpointed> {
  const transcript = transcriber.sealForCheckpoint()!;
  const { state } = replay;
  await transcriber.sendParts();
  return { state, transcript };
}

const storedIn = async (store: MemoryStore): Promise<Uint8Array> => (await new Fleet(store.link(), 'x').transcript())!;

const lie: Lies = { sum: (_, { lo }, sum) => lo === 0 && flipBit(sum) };

/** A step that stands: the leader that took it, and whether a worker lied to it. */
interface Taken {
  readonly leader: number;
  readonly isLie: boolean;
}

const moments = ['none', 'none', 'checkpoint', 'checkpoint', 'goBack', 'unreachable'] as const;
const deaths = ['unsealed', 'unsent', 'unlisted', 'late', 'goingBack'] as const;
const mostLeaders = 6;

/** Plays leaders that die at random moments, until one has taken all steps. @returns what the transcript must say */
async function play(store: MemoryStore, seed: number) {
  const random = randomStream(seed);
  const draw = <Value>(values: readonly Value[]): Value => values[Math.floor(random() * values.length)]!;
  const keys: string[] = [];
  const late: Transcriber[] = [];
  const arriveLate = async (): Promise<void> => {
    for (const each of late.splice(0)) await each.sendParts();
  };
  let taken: Taken[] = [];
  let saved = undefined as (Checkpointed & { readonly taken: readonly Taken[] }) | undefined;
  for (let number = 1; ; number++) {
    taken = [...(saved?.taken ?? [])];
    const { transcriber, publicKey, link, firstStep } = lead(store, number, saved);
    keys.push(publicKey);
    const states = new Map([[firstStep, replay.state]]);
    const save = async (): Promise<void> => {
      saved = { ...(await checkpointOf(transcriber)), taken: [...taken] };
      // The parts of a leader that was cut off do not replace those of a newer one.
      if (random() < 0.5) await arriveLate();
    };
    const goBack = (): void => {
      const to = draw([...states.keys()].filter((step) => step < replay.step));
      transcriber.goBack(to);
      replay.restore(states.get(to)!);
      taken.length = to;
    };
    const dies = async (): Promise<void> => {
      const death = draw(deaths);
      if (death === 'unsealed') return;
      if (death === 'goingBack') goBack();
      transcriber.sealForCheckpoint();
      if (death === 'unlisted') await transcriber.sendParts();
      if (death === 'late') late.push(transcriber);
    };
    let isDead = false;
    while (!isDead && replay.step < plan.steps) {
      const isLie = random() < 0.04;
      await forgeStep(forge, transcriber, { ...(isLie && lie), workers: `of ${number}` });
      taken.push({ leader: number, isLie });
      states.set(replay.step, replay.state);
      const moment = draw(moments);
      if (moment === 'goBack' && random() < 0.5) goBack();
      if (moment === 'unreachable') {
        link.fault = 'cut';
        await expect(checkpointOf(transcriber)).rejects.toThrow('no answer');
        link.fault = 'none';
      } else if (moment !== 'none') await save();
      isDead = number < mostLeaders && random() < 0.2;
      if (isDead && replay.step > firstStep) await dies();
    }
    if (isDead) continue;
    if (random() < 0.5) await save();
    await endForged(forge, transcriber);
    await arriveLate();
    return { keys, taken, saved, leaders: number };
  }
}

describe('leaders that die', () => {
  it.each(Array.from({ length: 60 }, (_, seed) => seed))('continue one chain: seed %i', async (seed) => {
    const store = new MemoryStore();
    const { keys, taken, saved, leaders } = await play(store, seed);
    const bytes = readFileSync(file);
    expect(Buffer.compare(await storedIn(store), bytes)).toBe(0);
    const { isRight, finding, led } = await audit(bytes, { data, publicKeys: keys });
    const wrong = taken.findIndex(({ isLie }) => isLie);
    const worker = `w1 of ${taken[wrong]?.leader} 1`;
    const expected = { type: 'results', step: wrong + 1, shards: [{ lo: 0, n: 1, worker }], isStateRight: false };
    expect({ isRight, finding }).toEqual({
      isRight: wrong === -1,
      finding: wrong === -1 ? undefined : expect.objectContaining(expected),
    });
    expect(
      led.flatMap(({ publicKey, from, to }) =>
        Array.from({ length: to - from + 1 }, () => keys.indexOf(publicKey) + 1),
      ),
    ).toEqual(taken.map(({ leader }) => leader));
    if (saved?.state.step !== plan.steps) return;
    // A leader that finds the run at its end adds nothing.
    await endForged(forge, lead(store, leaders + 1, saved).transcriber);
    expect(Buffer.compare(readFileSync(file), bytes)).toBe(0);
    expect(Buffer.compare(await storedIn(store), bytes)).toBe(0);
  });
});

/** A run of three leaders, which take the steps 1 to 5, 6 to 10 and 11 to 16. */
async function threeLeaders(told: Lies = {}, atTakeover: (number: number) => unknown = () => {}) {
  const store = new MemoryStore();
  const keys: string[] = [];
  let saved: Checkpointed | undefined;
  for (const [index, until] of [5, 10, plan.steps].entries()) {
    replay.restore(saved?.state ?? initial);
    atTakeover(index + 1);
    const { transcriber, publicKey } = lead(store, index + 1, saved && { ...saved, state: replay.state });
    keys.push(publicKey);
    while (replay.step < until) await forgeStep(forge, transcriber, told);
    if (until === plan.steps) await endForged(forge, transcriber);
    else saved = await checkpointOf(transcriber);
  }
  const names = [...store.objects.keys()].filter((name) => name.startsWith('x.transcript.'));
  return { store, keys, names, bytes: readFileSync(file) };
}

describe('a lie is blamed on the leader that signed it', () => {
  const rows: Readonly<
    Record<string, readonly [told: Lies, takeover: number, finding: Partial<Finding>, leader: number]>
  > = {
    'the first takes a wrong optimizer step': [
      { weights: (step, weights) => step === 4 && flipBit(weights) },
      0,
      { type: 'optimizer', step: 5 },
      1,
    ],
    'the second takes a wrong optimizer step': [
      { weights: (step, weights) => step === 5 && flipBit(weights) },
      0,
      { type: 'optimizer', step: 6 },
      2,
    ],
    'the second changes the weights that it restores': [{}, 2, { type: 'state', step: 5 }, 2],
    'the third leaves samples out': [
      { recordedAs: (step, shard) => (step === 12 && shard.lo === 3 ? undefined : shard) },
      0,
      { type: 'skipped', step: 13 },
      3,
    ],
  };
  it.each(Object.entries(rows))('%s', async (_, [told, takeover, finding, leader]) => {
    const { bytes, keys } = await threeLeaders(told, (number) => number === takeover && flipBit(replay.view.weights));
    const signer = `host-${leader}, key ${keys[leader - 1]!.slice(0, 16)}…`;
    const audited = await audit(bytes, { data });
    expect(audited).toMatchObject({ isRight: false, finding: { ...finding, leader: signer } });
    expect(audited.sentence).toContain(`(signed by the leader ${signer}) is wrong: `);
  });
});

describe('a fleet part is found that', async () => {
  const [honest, other] = [await threeLeaders(), await threeLeaders()];
  const [first, second, third] = honest.names as [string, string, string];
  type Objects = Map<string, Uint8Array>;
  const flipped = (objects: Objects, name: string, at: number): void => {
    const bytes = objects.get(name)!.slice();
    bytes[at >> 3]! ^= 1 << (at & 7);
    objects.set(name, bytes);
  };
  const rows: Readonly<Record<string, readonly [spoil: (objects: Objects) => unknown, sentence: RegExp]>> = {
    'is missing': [
      (objects) => objects.delete(second),
      /^run x of the fleet at memory: expected part \w{16}… of its transcript, got none$/,
    ],
    'is of another run of the same options': [
      (objects) => objects.set(second, other.store.objects.get(other.names[1]!)!),
      /^run x .*: expected part \w{16}… of its transcript, got none$/,
    ],
    'has the records of another run': [
      (objects) => {
        const theirs = other.store.objects.get(other.names[1]!)!.slice();
        theirs.set(objects.get(second)!.subarray(0, 32));
        objects.set(second, theirs);
      },
      /^expected a record that continues the chain after step 5, got another one: the file was changed$/,
    ],
    'was exchanged with the one before': [
      (objects) => {
        const [one, two] = [objects.get(first)!, objects.get(second)!];
        objects.set(first, two).set(second, one);
      },
      /^expected a record that continues the chain after step 5, got another one: the file was changed$/,
    ],
    'names itself as the one before': [
      (objects) => {
        const bytes = objects.get(second)!.slice();
        bytes.set(Buffer.from(second.split('.').at(-1)!, 'hex'));
        objects.set(second, bytes);
      },
      /^run x .*: expected part \w{16}… of its transcript, got another one$/,
    ],
    'is cut short': [
      (objects) => objects.set(third, objects.get(third)!.subarray(0, -1)),
      /^expected a seal at the end, got .*: the file is torn/,
    ],
    'is empty': [
      (objects) => objects.set(third, new Uint8Array()),
      /^run x .*: expected part \w{16}… of its transcript, got another one$/,
    ],
  };
  const spoilt = async (spoil: (objects: Objects) => unknown): Promise<unknown> => {
    const store = new MemoryStore();
    for (const [key, value] of honest.store.values) store.values.set(key, value);
    for (const [name, bytes] of honest.store.objects) store.objects.set(name, bytes);
    spoil(store.objects);
    return audit(await storedIn(store), { data });
  };

  it.each(Object.entries(rows))('%s', async (_, [spoil, sentence]) => {
    await expect(spoilt(spoil)).rejects.toThrow(sentence);
  });

  it('has any flipped bit', async () => {
    for (const name of honest.names) {
      const bits = 8 * honest.store.objects.get(name)!.length;
      for (let at = 3; at < bits; at += 101) {
        await expect(spoilt((objects) => flipped(objects, name, at))).rejects.toThrow(/expected .+, got .+/);
      }
    }
  });

  it('a leader signed that nobody knows', async () => {
    const [one, two] = honest.keys;
    await expect(audit(honest.bytes, { data, publicKeys: [one!, two!] })).rejects.toThrow(
      /^expected a transcript signed with the key \w{16}… or \w{16}…, got one signed with \w{16}…$/,
    );
  });

  it('a leader began before the one before it had signed its steps', () => {
    const { header } = readTranscript(honest.bytes);
    const { privateKey } = generateKeyPairSync('ed25519');
    const encoder = new TranscriptEncoder(privateKey);
    encoder.json('header', header);
    encoder.step(0, [], new Uint8Array(16));
    encoder.json('back', { to: 1, cause: 'resumed', steps: 16, publicKey: header.publicKey, leader: 'here' });
    expect(() => readTranscript(encoder.seal(sealedState(1, initial)))).toThrow(
      /^expected a seal before another leader, got /,
    );
  });
});
