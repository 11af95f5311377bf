/** The backend of this tab's worker, the reason for it, and the work done so far. */

import type { ActiveState } from '@lockstep/worker/browser';
import { oneThreadReason } from '@lockstep/worker/browser';
import { backendPhrase, insecureContextReason } from '../join/backends.ts';
import { counted, millisecondsText, whole } from '../look/format.ts';
import { isPicture, type Run } from '../watch/run-store.ts';
import { Figure } from './figure.tsx';

interface ActiveWorkerProps {
  readonly state: ActiveState;
  readonly run: Run | undefined;
  readonly onLeave: () => void;
}

export function ActiveWorker({ state, run, onLeave }: ActiveWorkerProps) {
  const { phase, id, backend, threads = 1, device, shards, samples, computeMs, retryReason } = state;
  const insecure = backend === 'webgpu' ? undefined : insecureContextReason();
  const oneThread = backend === 'cpu' ? oneThreadReason() : undefined;
  const reasons = [...state.reasons, insecure, oneThread].filter((reason) => reason !== undefined);
  return (
    <div class="active-worker">
      <p class="join-text">
        {backend === undefined ? (
          'Looking at what this device can compute on …'
        ) : (
          <>
            <b>{id ?? 'This tab'}</b> computes on <b>{backendPhrase(backend)}</b>
            {threads > 1 && ` in ${threads} threads`}
            {device && `, ${device}`}.
          </>
        )}
        {phase === 'reconnecting' && <span class="retry-reason"> {retryReason}; trying again.</span>}
      </p>
      <dl class="figures">
        <Figure label="Shards" value={whole(shards)} />
        <Figure label={isPicture(run) ? 'Images' : 'Samples'} value={whole(samples)} />
        <Figure label="ms a shard" value={shards === 0 ? undefined : millisecondsText(computeMs / shards)} />
      </dl>
      <Reasons reasons={reasons} />
      <button type="button" onClick={onLeave}>
        Leave
      </button>
    </div>
  );
}

function Reasons({ reasons }: Pick<ActiveState, 'reasons'>) {
  if (reasons.length === 0) return null;
  return (
    <details class="reasons">
      <summary>Why not faster? ({counted(reasons.length, 'reason')})</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reachable by keyboard */}
      <ul tabIndex={0}>
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
    </details>
  );
}
