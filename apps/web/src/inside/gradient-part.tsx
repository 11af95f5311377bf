/** The gradient of the sample's loss, layer by layer. */
import { gradientTable } from '@lockstep/lesson';
import type { Signal } from '@preact/signals';
import { ExhibitView } from '../learn/exhibits/exhibit.tsx';
import { Figure } from '../look/controls.tsx';
import type { Run } from '../watch/run-store.ts';
import { answerText } from './answer-text.ts';
import type { InspectedSample } from './messages.ts';
import { noSample, PartCard } from './part-card.tsx';
import { ScaleLegend } from './scale-legend.tsx';
import { Tiles } from './tiles.tsx';

interface GradientPartProps {
  readonly run: Run | undefined;
  readonly inspected: InspectedSample | undefined;
  readonly label: string;
  /** The selected neuron or filter of the first layer. */
  readonly chosen: Signal<number>;
}

export function GradientPart({ run, inspected, label, chosen }: GradientPartProps) {
  if (!inspected) return <PartCard id="gradient">{noSample}</PartCard>;
  const { trace, gradientView } = inspected;
  return (
    <PartCard id="gradient">
      <dl class="lesson-figures">
        <Figure label={trace.probabilities ? 'label' : 'target'} value={label} />
        <Figure label="the network says" value={answerText(run, trace)} />
        <Figure label="loss" value={trace.loss.toFixed(4)} />
      </dl>
      <ExhibitView exhibit={gradientTable(trace)} />
      {gradientView.kind === 'pictures' && (
        <div class="layer">
          <h3>By the weights of the first layer</h3>
          <Tiles
            {...gradientView}
            label="The gradient by the weights of the first layer, in the order of the weights above"
            height={300}
            largestCell={12}
            gap={2}
            chosen={chosen.value}
            onChoose={(picture) => {
              chosen.value = picture;
            }}
          />
          <ScaleLegend scale={gradientView.scale} zero="0" />
        </div>
      )}
    </PartCard>
  );
}
