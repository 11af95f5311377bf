/** The column headings of a table, which sort its rows when pressed. */
import type { Signal } from '@preact/signals';
import { type Columns, isAscending, nextOrder, type Order } from './table-order.ts';

interface ColumnTitlesProps<Name extends string, Row> {
  readonly columns: Columns<Name, Row>;
  readonly order: Signal<Order<Name> | undefined>;
}

export function ColumnTitles<Name extends string, Row>({ columns, order }: ColumnTitlesProps<Name, Row>) {
  return (
    <>
      {(Object.keys(columns) as Name[]).map((name) => {
        const { title, unit, isNumber } = columns[name];
        const isBy = order.value?.by === name;
        const direction = isBy ? (isAscending(columns, order.value!) ? 'ascending' : 'descending') : undefined;
        return (
          <th key={name} scope="col" class={isNumber ? 'number' : ''} aria-sort={direction}>
            <button
              type="button"
              class="column-title"
              onClick={() => {
                order.value = nextOrder(order.value, name);
              }}
            >
              {title} {unit && <small>{unit}</small>}
              <span class={`order ${direction ?? ''}`} aria-hidden="true" />
            </button>
          </th>
        );
      })}
    </>
  );
}
