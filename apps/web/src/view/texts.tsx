/** Texts that a model has written while it learned: the newest one large, the earlier ones below it. */
import { ScrollRegion } from '../look/controls.tsx';
import { thousands } from '../look/format.ts';

interface WrittenText {
  /** Steps that the model had taken. */
  readonly step: number;
  /** The beginning that the model was given. */
  readonly prompt?: string;
  readonly text: string;
}

interface TextsProps {
  readonly label: string;
  /** In the order of their steps. */
  readonly samples: readonly WrittenText[];
}

/** Both parts have a fixed height and scroll, so a longer text moves nothing. */
export function Texts({ label, samples }: TextsProps) {
  const newest = samples.at(-1);
  return (
    <div class="stack texts">
      <ScrollRegion class="newest-text" label={`${label}: the newest`}>
        {newest && (
          <>
            <p class="aside">after step {thousands(newest.step)}</p>
            <p>
              <SampleText sample={newest} />
            </p>
          </>
        )}
      </ScrollRegion>
      <ScrollRegion class="earlier-texts" label={`${label}: the earlier ones`}>
        <ol>
          {samples
            .slice(0, -1)
            .toReversed()
            .map((sample) => (
              <li key={sample.step}>
                <span class="aside">step {thousands(sample.step)}</span> <SampleText sample={sample} />
              </li>
            ))}
        </ol>
      </ScrollRegion>
    </div>
  );
}

/** Longest line of a text that is shown in columns, such as a list of names. */
const longestItem = 24;

/** The beginning, marked, and what the model wrote after it. */
export function SampleText({ sample: { prompt = '', text } }: { readonly sample: Omit<WrittenText, 'step'> }) {
  const lines = text.split('\n');
  const isList = lines.length > 3 && lines.every(({ length }) => length <= longestItem);
  return (
    <bdi class={isList ? 'sample-text sample-list' : 'sample-text'}>
      {prompt !== '' && <mark>{prompt}</mark>}
      {text}
    </bdi>
  );
}
