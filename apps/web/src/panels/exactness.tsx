/** A badge with the run's exactness and the hash of its weights, and an explanation of both. */
import { claimText } from '@lockstep/rules';
import { whole } from '../look/format.ts';
import type { Progress } from '../watch/run-store.ts';

interface ExactnessProps {
  readonly progress: Progress | undefined;
  /** Whether the badge is visible. Its place is reserved either way. */
  readonly isShown: boolean;
}

export function Exactness({ progress, isShown }: ExactnessProps) {
  const { exactness, weightsHash: hash } = progress ?? {};
  return (
    <div class={isShown ? '' : 'hidden'}>
      <button type="button" class={`badge badge-${styleOf(progress)}`} popovertarget="exactness-text">
        <span>
          {progress && exactness !== undefined ? shortText(progress) : hash === undefined ? '–' : 'initial weights'}
        </span>
        <code>{hash === undefined ? '–––– ––––' : `${hash.slice(0, 4)} ${hash.slice(4, 8)}`}</code>
      </button>
      <div id="exactness-text" popover="auto" class="bubble">
        <p>{explanationOf(progress)}</p>
        <p>
          {hash === undefined
            ? 'The hash of the weights appears here with the first step.'
            : `SHA-256 of the weights after step ${whole(progress?.weightsHashStep ?? 0)} begins with ${hash}.`}
        </p>
      </div>
    </div>
  );
}

/** Only a run whose bits any worker in the coordinator's own numeric mode reproduces is styled as good. */
function styleOf(progress: Progress | undefined): string {
  const { exactness = 'none', bitExactAmong } = progress ?? {};
  return bitExactAmong === undefined ? exactness : 'bit-exact-among';
}

function shortText({ exactness, numericMode, bitExactAmong }: Progress): string {
  return claimText({
    exactness: exactness ?? null,
    numericMode: numericMode ?? null,
    bitExactAmong: bitExactAmong ?? null,
  });
}

function explanationOf(progress: Progress | undefined): string {
  const { exactness, numericMode, bitExactAmong } = progress ?? {};
  switch (exactness) {
    case undefined:
      return 'Before its first step, a run claims nothing of its weights.';
    case 'bit-exact':
      return bitExactAmong === undefined
        ? `All workers that contributed compute in the numeric mode ${numericMode}, so the weights are the same to the bit as in any other run with this seed in this mode, on any number of workers.`
        : `All workers that contributed compute in the numeric mode ${numericMode}. The weights are the same to the bit as in any other run with this seed in this mode, and equal to those of other modes up to float rounding: do not compare their hashes.`;
    case 'sample-exact':
      return 'Workers contributed that round differently, such as a GPU and a CPU, or gradients were rounded on their way. Every sample still counts exactly once; the weights agree with other runs up to float rounding, and their hash with no other run’s.';
    case 'unverified':
      return 'Results of a worker were added that was later found to send wrong ones. The log names it, and how many of its results had been added.';
    default:
      return exactness satisfies never;
  }
}
