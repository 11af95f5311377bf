/** Exhibits of the lesson: a view for each kind. */
import type { Exhibit } from '@lockstep/lesson';
import type { ComponentType } from 'preact';
import { BarsView } from './bars.tsx';
import { CodeView } from './code.tsx';
import { CurvesView } from './curves.tsx';
import { FiguresView } from './figures.tsx';
import { GraphView } from './graph.tsx';
import { GridView } from './grid.tsx';
import { LiveCurvesView } from './live-curves.tsx';
import { NeuronsView } from './neurons.tsx';
import { PicturesView } from './pictures.tsx';
import { PlaneView } from './plane.tsx';
import { TableView } from './table.tsx';
import './exhibits.css';

type Views = {
  readonly [Kind in Exhibit['kind']]: ComponentType<{ readonly exhibit: Extract<Exhibit, { kind: Kind }> }>;
};

const views: Views = {
  figures: FiguresView,
  table: TableView,
  bars: BarsView,
  curves: CurvesView,
  'live-curves': LiveCurvesView,
  code: CodeView,
  pictures: PicturesView,
  grid: GridView,
  plane: PlaneView,
  neurons: NeuronsView,
  graph: GraphView,
};

export function ExhibitView({ exhibit }: { readonly exhibit: Exhibit }) {
  const View = views[exhibit.kind] as ComponentType<{ readonly exhibit: Exhibit }>;
  return (
    <section
      class={`card exhibit exhibit-${exhibit.kind}`}
      aria-label={'caption' in exhibit ? exhibit.caption : 'Figures'}
    >
      {'caption' in exhibit && <h3>{exhibit.caption}</h3>}
      <View exhibit={exhibit} />
    </section>
  );
}
