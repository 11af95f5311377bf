/** In what memory a run sends weights, and when it uses that again. */
import { bytesOf, type CoordinatorMessage, type CoordinatorTransport, encode } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../src/coordinator/limits.ts';
import { RemoteSources } from '../../src/coordinator/remote-peer.ts';
import { createNumericsCheck } from '../../src/numerics-check.ts';
import { Parameters } from '../../src/parameters.ts';
import { planRun } from '../../src/plan.ts';
import type { ShardSource } from '../../src/shard-source.ts';
import { model } from '../support.ts';

const plan = planRun({ samples: 14, batch: 8, microbatchSize: 2, epochs: 3 });
const samples: ShardSource = {
  shard: () => {
    throw new Error('expected no task');
  },
} as unknown as ShardSource;

/** Keeps what it is sent, as a socket does until it has written it. */
function openTransport() {
  const sent: CoordinatorMessage[] = [];
  const transport = {
    bufferedBytes: 0,
    send: (message: CoordinatorMessage) => void sent.push(message),
  };
  return { sent, transport: transport as typeof transport & CoordinatorTransport };
}

/** The vector of the newest weights that were sent, and the memory of their frames. */
function newest(sent: readonly CoordinatorMessage[]) {
  const first = sent.findLastIndex(({ type }) => type === 'weights');
  const messages = sent.slice(first);
  const parts = messages.map((message) => ('bytes' in message ? message.bytes : new Uint8Array()));
  return { bytes: Buffer.concat(parts), memory: new Set(messages.map((message) => encode(message).buffer)) };
}

async function open(parameters: number) {
  const { backend } = await openBackend('cpu');
  const weights = Float32Array.from({ length: parameters }, (_, index) => index % 1_000);
  const parameterServer = new Parameters({ backend, plan, weights });
  const sources = new RemoteSources({
    setup: { plan, limits: defaultLimits },
    ...{ samples, parameterServer, numericsCheck: createNumericsCheck(model, 2) },
  });
  /** Sends other weights in each step. */
  const send = (step: number, ...transports: readonly CoordinatorTransport[]): Buffer => {
    parameterServer.setWeights(bytesOf(weights.map((value) => value + step)));
    for (const transport of transports) sources.sendWeights(step, transport);
    return Buffer.from(parameterServer.weights().buffer);
  };
  return { sources, send };
}

describe('long weights', () => {
  it('are in one block of memory, which the next step uses again once all of it is sent', async () => {
    const { send } = await open(1_200_000);
    const [one, other] = [openTransport(), openTransport()];
    let blocks: Set<ArrayBufferLike>[] = [];
    for (let step = 0; step < 3; step++) {
      const expected = send(step, one.transport, other.transport);
      for (const { sent } of [one, other]) {
        const { bytes, memory } = newest(sent);
        expect(Buffer.compare(bytes, expected)).toBe(0);
        expect(memory.size).toBe(1);
        blocks = [...blocks, memory];
      }
    }
    expect(new Set(blocks.flatMap((block) => [...block])).size).toBe(1);
  });

  it('are left alone where a worker has not read them all', async () => {
    const { send } = await open(1_200_000);
    const [slow, quick] = [openTransport(), openTransport()];
    const expected = send(0, slow.transport, quick.transport);
    slow.transport.bufferedBytes = 1;
    const next = send(1, quick.transport);
    expect(Buffer.compare(newest(slow.sent).bytes, expected)).toBe(0);
    expect(Buffer.compare(newest(quick.sent).bytes, next)).toBe(0);
  });
});

describe('short weights', () => {
  it('are in memory of their own in each step', async () => {
    const { send } = await open(200_000);
    const { sent, transport } = openTransport();
    const memory = [0, 1].flatMap((step) => {
      send(step, transport);
      return [...newest(sent).memory];
    });
    expect(new Set(memory).size).toBe(memory.length);
  });
});
