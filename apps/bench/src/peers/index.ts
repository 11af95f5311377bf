/** The table of peers: each row of a benchmark's table that does a training step or a product, in order. */
import type { Candidate } from '../harness.ts';
import type { MatrixProduct, Peer, TrainingStep } from '../work.ts';

const modules: readonly Promise<{ readonly default: readonly Peer[] }>[] = [
  import('./lockstep.ts'),
  import('./tensorflow.ts'),
  import('./jax.ts'),
  import('./pytorch.ts'),
];

export const peers = (await Promise.all(modules)).flatMap((module) => module.default);

export function stepCandidates(program: 'bench' | 'compare', work: TrainingStep): Candidate[] {
  return peers
    .filter(({ only = program, nets = [work.net.name] }) => only === program && nets.includes(work.net.name))
    .map((peer) => ({ name: peer.name, open: () => peer.openStep(work) }));
}

export function matmulCandidates(work: MatrixProduct): Candidate[] {
  return peers.flatMap(({ name, openMatmul }) => (openMatmul ? [{ name, open: () => openMatmul(work) }] : []));
}
