/** Lays out the nodes of a computation: each after its operands, inputs directly before their first reader. */
import type { GraphNode } from '@lockstep/lesson';

export interface PlacedNode extends GraphNode {
  readonly column: number;
  readonly row: number;
}

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
