/** What fixes the bits of a run, as its checkpoints carry it. */
import { type Dataset, targetValues } from '@lockstep/data';
import { bytesOf } from '@lockstep/protocol';
import type { NewHash } from '@lockstep/training';
import type { Prepared } from '../prepared.ts';
import type { RunIdentity } from './checkpoint.ts';

export function identityOf({ model, train, plan, config, optimizer }: Prepared, newHash: NewHash): RunIdentity {
  const data = dataHash(train, newHash);
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

/** Hash of a data set: shape, kind of targets, samples, targets. */
export function dataHash({ samples, sampleShape, targets }: Dataset, newHash: NewHash): string {
  const hash = newHash();
  hash.update(new TextEncoder().encode(`${sampleShape.join(' x ')}, ${targets.type}`));
  hash.update(bytesOf(samples));
  hash.update(bytesOf(targetValues(targets)));
  return hash.digest('hex');
}
