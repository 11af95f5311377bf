/** One step in slow motion: its stages, one after another, by hand or by themselves. */
import { type Stage, stagesOf } from '@lockstep/lesson';
import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ExhibitView } from '../learn/exhibits/exhibit.tsx';
import { Paragraph } from '../learn/paragraph.tsx';
import { whole } from '../look/format.ts';
import type { Run } from '../watch/run-store.ts';
import type { InspectedSample } from './messages.ts';
import { PartCard } from './part-card.tsx';
import { StepFlow } from './step-flow.tsx';

interface StepPartProps {
  readonly run: Run | undefined;
  readonly inspected: InspectedSample | undefined;
  readonly label: string;
  readonly names: readonly string[];
  /** Steps that the weights had taken. */
  readonly step: number | undefined;
  /** Set while a step is under way, so that its numbers stand still. */
  readonly isHeld: Signal<boolean>;
}

/** Of a stage that goes on by itself. */
const stageMs = 4_000;

export function StepPart({ run, inspected, label, names, step, isHeld }: StepPartProps) {
  const position = useSignal(0);
  const isPlaying = useSignal(false);
  const stages = run && inspected ? stagesFor(run, inspected, label, names) : [];
  const last = stages.length - 1;
  const go = (to: number): void => {
    position.value = Math.max(0, Math.min(last, to));
    isHeld.value = true;
    if (position.value === last) isPlaying.value = false;
  };
  useEffect(() => {
    if (!isPlaying.value) return undefined;
    const timer = setTimeout(() => go(position.value + 1), stageMs);
    return () => clearTimeout(timer);
  }, [isPlaying.value, position.value]);
  const stage = stages[position.value];
  if (!stage || !inspected) {
    return (
      <PartCard id="step">
        <p class="empty">Draw a digit or choose a sample.</p>
      </PartCard>
    );
  }
  const play = (): void => {
    if (position.value === last) go(0);
    isHeld.value = true;
    isPlaying.value = !isPlaying.value;
  };
  const follow = (): void => {
    isPlaying.value = false;
    isHeld.value = false;
    position.value = 0;
  };
  return (
    <PartCard id="step" aside={`${isHeld.value ? 'weights held' : 'weights'} after step ${whole(step ?? 0)}`}>
      <div class="step-buttons">
        <button type="button" disabled={position.value === 0} onClick={() => go(position.value - 1)}>
          Back
        </button>
        <button type="button" class="primary" disabled={position.value === last} onClick={() => go(position.value + 1)}>
          Next
        </button>
        <button type="button" onClick={play}>
          {isPlaying.value ? 'Pause' : 'Let it run'}
        </button>
        <button type="button" disabled={!isHeld.value} onClick={follow}>
          Follow the run again
        </button>
      </div>
      <StepFlow
        stages={stages}
        layers={inspected.trace.layers.map(({ type }) => type)}
        position={position.value}
        onGo={go}
      />
      <section class="stage" aria-live="polite" aria-labelledby="stage-title">
        <h3 id="stage-title">
          {position.value + 1}. {stage.title}
        </h3>
        <Paragraph text={stage.text} name={`stage-${stage.id}`} />
        <div class="stage-exhibits">
          {stage.exhibits.map((exhibit, index) => (
            <ExhibitView key={`${stage.id} ${index}`} exhibit={exhibit} />
          ))}
        </div>
      </section>
    </PartCard>
  );
}

function stagesFor(
  run: Run,
  { trace, single }: InspectedSample,
  label: string,
  names: readonly string[],
): readonly Stage[] {
  const { batch, diloco } = run.config;
  return stagesOf(trace, single, { batch, microbatches: run.microbatches, replicas: diloco?.replicas, label, names });
}
