/** A computation as boxes and lines, from left to right, with each node's value and gradient. */
import type { Exhibit, GraphNode } from '@lockstep/lesson';
import { ScrollRegion } from '../look/controls.tsx';

interface PlacedNode extends GraphNode {
  readonly column: number;
  readonly row: number;
}

/** Places each node after its operands, and inputs directly before their first reader. */
export function layOutGraph(nodes: readonly GraphNode[]): PlacedNode[] {
  const columns = new Map<string, number>();
  for (const { id, from } of nodes.filter((node) => node.from.length > 0)) {
    columns.set(id, 1 + Math.max(0, ...from.map((operand) => columns.get(operand) ?? 0)));
  }
  for (const { id } of nodes.filter((node) => node.from.length === 0)) {
    const readers = nodes.filter(({ from }) => from.includes(id)).map((reader) => columns.get(reader.id)!);
    columns.set(id, Math.min(...readers) - 1);
  }
  const taken = new Map<number, number>();
  return nodes.map((node) => {
    const column = columns.get(node.id)!;
    const row = taken.get(column) ?? 0;
    taken.set(column, row + 1);
    return { ...node, column, row };
  });
}

const [boxWidth, boxHeight, gapX, gapY] = [108, 62, 18, 14];

interface GraphViewProps {
  readonly exhibit: Extract<Exhibit, { kind: 'graph' }>;
}

export function GraphView({ exhibit }: GraphViewProps) {
  const nodes = layOutGraph(exhibit.nodes);
  const width = Math.max(...nodes.map(leftOf)) + boxWidth + 2;
  const height = Math.max(...nodes.map(topOf)) + boxHeight + 2;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const label = nodes.map(({ id, value, gradient }) => `${id} ${value.toFixed(3)}, gradient ${gradient.toFixed(3)}`);
  return (
    <ScrollRegion label={exhibit.caption}>
      <svg
        class="graph"
        viewBox={`0 0 ${width} ${height}`}
        style={{ minWidth: `${width}px` }}
        role="img"
        aria-label={label.join('; ')}
      >
        {nodes.flatMap((node) =>
          node.from.map((operand) => (
            <path key={`${operand} ${node.id}`} class="edge" d={edgeBetween(byId.get(operand)!, node)} />
          )),
        )}
        {nodes.map((node) => (
          <Box key={node.id} node={node} />
        ))}
      </svg>
    </ScrollRegion>
  );
}

function leftOf({ column }: PlacedNode): number {
  return 1 + column * (boxWidth + gapX);
}

function topOf({ row }: PlacedNode): number {
  return 1 + row * (boxHeight + gapY);
}

function edgeBetween(from: PlacedNode, to: PlacedNode): string {
  const [x1, y1] = [leftOf(from) + boxWidth, topOf(from) + boxHeight / 2];
  const [x2, y2] = [leftOf(to), topOf(to) + boxHeight / 2];
  const middle = (x1 + x2) / 2;
  if (to.column - from.column === 1) return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
  // Passes below the boxes in between.
  const below = topOf(from) + boxHeight + gapY / 2;
  const [down, up, half] = [x1 + gapX, x2 - gapX, gapX / 2];
  const [leaves, arrives] = [x1 + half, up + half];
  return `M${x1} ${y1}C${leaves} ${y1} ${leaves} ${below} ${down} ${below}H${up}C${arrives} ${below} ${arrives} ${y2} ${x2} ${y2}`;
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
