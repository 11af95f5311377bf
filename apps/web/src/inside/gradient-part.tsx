/** The gradient of the sample's loss, layer by layer. */
import { gradientTable } from '@lockstep/lesson';
import { ExhibitView } from '../learn/exhibits/exhibit.tsx';
import { Figure } from '../panels/figure.tsx';
import type { InspectedSample } from './messages.ts';
import { PartCard } from './part-card.tsx';
import { ScaleLegend } from './scale-legend.tsx';
import { Tiles } from './tiles.tsx';

interface GradientPartProps {
  readonly inspected: InspectedSample | undefined;
  readonly label: string;
  readonly names: readonly string[];
}

export function GradientPart({ inspected, label, names }: GradientPartProps) {
  if (!inspected) {
    return (
      <PartCard id="gradient">
        <p class="empty">Draw a digit or choose a sample.</p>
      </PartCard>
    );
  }
  const { trace, gradientView } = inspected;
  const answer = trace.probabilities.indexOf(Math.max(...trace.probabilities));
  return (
    <PartCard id="gradient">
      <dl class="lesson-figures">
        <Figure label="label" value={label} />
        <Figure label="the network says" value={names[answer] ?? `${answer}`} />
        <Figure label="loss" value={trace.loss.toFixed(4)} />
      </dl>
      <ExhibitView exhibit={gradientTable(trace)} />
      {gradientView.kind === 'pictures' && (
        <div>
          <h3>By the weights of the first layer</h3>
          <Tiles
            {...gradientView}
            label="The gradient by the weights of the first layer, in the order of the weights above"
            height={300}
            largestCell={12}
            gap={2}
          />
          <ScaleLegend scale={gradientView.scale} zero="0" />
        </div>
      )}
    </PartCard>
  );
}
