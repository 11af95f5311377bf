/** A computation as boxes and lines, with each node's value and gradient. */
import type { Graph } from '@lockstep/lesson';
import { layOutGraph, type PlacedNode } from './graph-layout.ts';

const [boxWidth, boxHeight, gapX, gapY] = [108, 62, 18, 14];

export function GraphView({ exhibit }: { readonly exhibit: Graph }) {
  const nodes = layOutGraph(exhibit.nodes);
  const width = Math.max(...nodes.map(leftOf)) + boxWidth + 2;
  const height = Math.max(...nodes.map(topOf)) + boxHeight + 2;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const label = nodes.map(({ id, value, gradient }) => `${id} ${value.toFixed(3)}, gradient ${gradient.toFixed(3)}`);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard must reach what scrolls.
    <section class="scroll" tabIndex={0} aria-label={exhibit.caption}>
      <svg
        class="graph"
        viewBox={`0 0 ${width} ${height}`}
        style={{ minWidth: `${width}px` }}
        role="img"
        aria-label={label.join('; ')}
      >
        {nodes.flatMap((node) =>
          node.from.map((operand) => <Edge key={`${operand} ${node.id}`} from={byId.get(operand)!} to={node} />),
        )}
        {nodes.map((node) => (
          <Box key={node.id} node={node} />
        ))}
      </svg>
    </section>
  );
}

function leftOf({ column }: PlacedNode): number {
  return 1 + column * (boxWidth + gapX);
}

function topOf({ row }: PlacedNode): number {
  return 1 + row * (boxHeight + gapY);
}

function Edge({ from, to }: Record<'from' | 'to', PlacedNode>) {
  const [x1, y1] = [leftOf(from) + boxWidth, topOf(from) + boxHeight / 2];
  const [x2, y2] = [leftOf(to), topOf(to) + boxHeight / 2];
  const middle = (x1 + x2) / 2;
  if (to.column - from.column === 1) {
    return <path class="edge" d={`M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`} />;
  }
  // Passes below the boxes in between.
  const below = topOf(from) + boxHeight + gapY / 2;
  const [down, up] = [x1 + gapX, x2 - gapX];
  const half = gapX / 2;
  return (
    <path
      class="edge"
      d={`M${x1} ${y1}C${x1 + half} ${y1} ${x1 + half} ${below} ${down} ${below}H${up}C${up + half} ${below} ${up + half} ${y2} ${x2} ${y2}`}
    />
  );
}

function Box({ node }: { readonly node: PlacedNode }) {
  const { id, formula, from, value, gradient } = node;
  return (
    <g transform={`translate(${leftOf(node)} ${topOf(node)})`}>
      <rect class={from.length === 0 ? 'node input' : 'node'} width={boxWidth} height={boxHeight} rx="8" />
      <text class="node-name" x="10" y="18">
        {from.length === 0 ? id : `${id} = ${formula}`}
      </text>
      <text class="node-value" x="10" y="36">
        {value.toFixed(4)}
      </text>
      <text class="node-gradient" x="10" y="53">
        {`∂ ${gradient.toFixed(4)}`}
      </text>
    </g>
  );
}
