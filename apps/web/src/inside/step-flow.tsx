/** The path of one step: forward and backward through the layers, to the coordinator, and into the weights. */
import type { Stage } from '@lockstep/lesson';

interface StepFlowProps {
  readonly stages: readonly Stage[];
  /** Types of the layers, in order. */
  readonly layers: readonly string[];
  readonly position: number;
  readonly onGo: (position: number) => void;
}

type Lit = readonly Stage['id'][];

export function StepFlow({ stages, layers, position, onGo }: StepFlowProps) {
  const { id } = stages[position]!;
  const network = ['sample', ...layers];
  return (
    <>
      <ol class="stage-list">
        {stages.map(({ id: each, title }, index) => (
          <li key={each}>
            <button
              type="button"
              class={index < position ? 'done' : ''}
              aria-current={index === position ? 'step' : undefined}
              onClick={() => onGo(index)}
            >
              {title}
            </button>
          </li>
        ))}
      </ol>
      <div class="flow" key={id} data-stage={id} aria-hidden="true">
        <p class="flow-place">Worker</p>
        <p class="flow-line">
          {network.map((layer, index) => (
            <Node
              key={index}
              text={layer}
              lit={index === 0 ? ['forward'] : ['forward', 'backward']}
              stage={id}
              order={id === 'backward' ? network.length - index : index}
            />
          ))}
          <Node text="loss" lit={['loss', 'backward']} stage={id} order={0} />
          <Node text="gradient" lit={['send']} stage={id} order={0} />
        </p>
        <p class="flow-place">Coordinator</p>
        <p class="flow-line">
          <Node text="sum of gradients" lit={['send', 'add']} stage={id} order={id === 'send' ? 1 : 0} />
          <Node text="optimizer" lit={['step']} stage={id} order={0} />
          <Node text="weights" lit={['step']} stage={id} order={1} />
        </p>
      </div>
    </>
  );
}

interface NodeProps {
  readonly text: string;
  /** Stages that highlight the node. */
  readonly lit: Lit;
  readonly stage: Stage['id'];
  /** Position in the stage's sequence of highlights. */
  readonly order: number;
}

function Node({ text, lit, stage, order }: NodeProps) {
  return (
    <span class={`flow-node ${lit.includes(stage) ? 'lit' : ''}`} style={{ '--order': order }}>
      {text}
    </span>
  );
}
