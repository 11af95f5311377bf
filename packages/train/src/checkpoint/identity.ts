/** What fixes the bits of a run, as its checkpoints carry it. */
import { createHash } from 'node:crypto';
import type { Prepared } from '../prepared.ts';
import type { RunIdentity } from './checkpoint.ts';

export function identityOf({ model, train, plan, config, optimizer }: Prepared): RunIdentity {
  const { images, labels, rows, columns } = train;
  const data = createHash('sha256').update(`${rows} x ${columns}`).update(images).update(labels).digest('hex');
  const { batch, microbatchSize } = plan;
  const { seed, gradients = 'exact', initSha256 } = config;
  const identity = { model, data, seed, batch, microbatchSize, optimizer, gradients };
  return initSha256 === undefined ? identity : { ...identity, initSha256 };
}
