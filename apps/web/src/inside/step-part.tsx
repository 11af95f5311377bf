/** One step in slow motion: its stages, which a person can step through or play. */
import { type Stage, stagesOf } from '@lockstep/lesson';
import type { Signal } from '@preact/signals';
import { ExhibitView } from '../learn/exhibits/exhibit.tsx';
import { Paragraph } from '../learn/paragraph.tsx';
import { whole } from '../look/format.ts';
import type { Run } from '../watch/run-store.ts';
import type { InspectedSample } from './messages.ts';
import { noSample, PartCard } from './part-card.tsx';
import { type SlowMotion, useSlowMotion } from './slow-motion.ts';
import { StepFlow } from './step-flow.tsx';

interface StepPartProps {
  readonly run: Run | undefined;
  readonly inspected: InspectedSample | undefined;
  readonly label: string;
  readonly names: readonly string[];
  /** Number of steps that produced the weights. */
  readonly step: number | undefined;
  /** Set while a step is shown, so that its numbers do not change. */
  readonly isHeld: Signal<boolean>;
}

export function StepPart({ run, inspected, label, names, step, isHeld }: StepPartProps) {
  const stages = run && inspected ? stagesFor(run, inspected, label, names) : [];
  const motion = useSlowMotion(stages.length, isHeld);
  const stage = stages[motion.position];
  if (!stage || !inspected) return <PartCard id="step">{noSample}</PartCard>;
  return (
    <PartCard id="step" aside={`${motion.isHeld ? 'weights held' : 'weights'} after step ${whole(step ?? 0)}`}>
      <StepButtons motion={motion} />
      <StepFlow
        stages={stages}
        layers={inspected.trace.layers.map(({ type }) => type)}
        position={motion.position}
        onGo={motion.go}
      />
      <section class="stage" aria-labelledby="stage-title">
        <div class="stage-text" aria-live="polite">
          <h3 id="stage-title">
            {motion.position + 1}. {stage.title}
          </h3>
          <Paragraph text={stage.text} name={`stage-${stage.id}`} />
        </div>
        {stage.exhibits.map((exhibit, index) => (
          <ExhibitView key={`${stage.id} ${index}`} exhibit={exhibit} />
        ))}
      </section>
    </PartCard>
  );
}

function StepButtons({ motion }: { readonly motion: SlowMotion }) {
  const { position, last, isPlaying, isHeld, go, play, follow } = motion;
  return (
    <div class="step-buttons">
      <button type="button" disabled={position === 0} onClick={() => go(position - 1)}>
        Back
      </button>
      <button type="button" class="primary" disabled={position === last} onClick={() => go(position + 1)}>
        Next
      </button>
      <button type="button" onClick={play}>
        {isPlaying ? 'Pause' : 'Let it run'}
      </button>
      <button type="button" disabled={!isHeld} onClick={follow}>
        Follow the run again
      </button>
    </div>
  );
}

function stagesFor(
  run: Run,
  { trace, single }: InspectedSample,
  label: string,
  names: readonly string[],
): readonly Stage[] {
  const { batch, diloco } = run.config;
  const { microbatches, standardization } = run;
  // Isolated, so that a label in Arabic or Hebrew does not reorder the sentence around it.
  const isolated = `\u2068${label}\u2069`;
  const facts = { batch, microbatches, replicas: diloco?.replicas, label: isolated, names, standardization };
  return stagesOf(trace, single, facts);
}
