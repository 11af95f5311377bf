/** What fixes the bits of a run, as its checkpoints carry it. */
import { createHash } from 'node:crypto';
import { targetValues } from '@lockstep/data';
import { bytesOf } from '@lockstep/protocol';
import type { Prepared } from '../prepared.ts';
import type { RunIdentity } from './checkpoint.ts';

export function identityOf({ model, train, plan, config, optimizer }: Prepared): RunIdentity {
  const { samples, sampleShape, targets } = train;
  const hash = createHash('sha256').update(`${sampleShape.join(' x ')}, ${targets.type}`);
  const data = hash
    .update(bytesOf(samples))
    .update(bytesOf(targetValues(targets)))
    .digest('hex');
  const { batch, microbatchSize, innerSteps } = plan;
  const { seed, gradients = 'exact', initSha256 } = config;
  const identity = {
    model,
    data,
    seed,
    batch,
    microbatchSize,
    ...(innerSteps && { innerSteps }),
    optimizer,
    gradients,
  };
  return initSha256 === undefined ? identity : { ...identity, initSha256 };
}
