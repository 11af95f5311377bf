/** A badge with the exactness of the run and the hash of its weights, and what they mean. */
import { whole } from '../look/format.ts';
import type { Progress } from '../watch/run-store.ts';

const explanations = {
  'bit-exact':
    'All workers that contributed compute in the same numeric mode, so the weights are the same to the bit as in any other run with this seed, on any number of workers.',
  'sample-exact':
    'A worker contributed that rounds differently, like a GPU. Every sample still counts exactly once; the weights agree with other runs up to float rounding.',
  unverified:
    'Results of a worker were added that was later found to send wrong ones. The log names it, and how many of its results had been added.',
} as const satisfies Record<Progress['exactness'], string>;

export function Exactness({ progress }: { readonly progress: Progress | undefined }) {
  const exactness = progress?.exactness ?? 'bit-exact';
  const hash = progress?.weightsHash;
  return (
    <div>
      <button type="button" class={`badge badge-${exactness}`} popovertarget="exactness-text">
        <span>{progress ? exactness : '–'}</span>
        <code>{hash === undefined ? '–––– ––––' : `${hash.slice(0, 4)} ${hash.slice(4, 8)}`}</code>
      </button>
      <div id="exactness-text" popover="auto" class="bubble">
        <p>{explanations[exactness]}</p>
        <p>
          {hash === undefined
            ? 'The hash of the weights appears here with the first step.'
            : `SHA-256 of the weights after step ${whole(progress?.weightsHashStep ?? 0)} begins with ${hash}.`}
        </p>
      </div>
    </div>
  );
}
