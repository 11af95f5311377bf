/** One column of a table, as numbers where its cells are numbers. */

const numberForm = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const firstCapacity = 64;

export class Column {
  readonly name: string;
  /** NaN where the cell is a text. */
  #numbers = new Float64Array(firstCapacity);
  /** One more than the position of the cell's text in `#texts`; there only if a cell is a text. */
  #codes: Uint32Array | undefined;
  readonly #texts: string[] = [];
  readonly #codeOf = new Map<string, number>();
  #count = 0;

  constructor(name: string) {
    this.name = name;
  }

  get count(): number {
    return this.#count;
  }

  /** A text that has the form of a finite number becomes one; other numbers become texts. `''` stands for a missing value. */
  push(cell: string | number): void {
    if (this.#count === this.#numbers.length) this.#grow();
    const text = typeof cell === 'string' ? cell.trim() : cell;
    const value = typeof text === 'number' || numberForm.test(text) ? Number(text) : Number.NaN;
    if (Number.isFinite(value)) this.#numbers[this.#count] = value;
    else this.#pushText(`${text}`);
    this.#count += 1;
  }

  /** undefined where the cell is a text. */
  numberAt(row: number): number | undefined {
    const value = this.#numbers[row]!;
    return Number.isNaN(value) ? undefined : value;
  }

  /** Numbers in their shortest form. */
  textAt(row: number): string {
    const code = this.#codes?.[row];
    return code ? this.#texts[code - 1]! : `${this.#numbers[row]}`;
  }

  #pushText(text: string): void {
    let code = this.#codeOf.get(text);
    if (code === undefined) {
      code = this.#texts.push(text);
      this.#codeOf.set(text, code);
    }
    this.#codes ??= new Uint32Array(this.#numbers.length);
    this.#codes[this.#count] = code;
    this.#numbers[this.#count] = Number.NaN;
  }

  #grow(): void {
    const numbers = new Float64Array(2 * this.#count);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    if (!this.#codes) return;
    const codes = new Uint32Array(2 * this.#count);
    codes.set(this.#codes);
    this.#codes = codes;
  }
}
